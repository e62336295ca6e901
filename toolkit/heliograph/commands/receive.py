"""Receive streams over a serial link into an inbox, or watch one; decode what comes.

Only what is on the disk is acknowledged. With --pictures, streams are decoded as they come, of each device in turn the
latest, and arriving ones again and again as they grow; that is done by another process, so that the line never waits
for it.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from heliograph.codec.registry import Registry
from heliograph.commands.console import Console, report_error
from heliograph.commands.decode import add_decoder_options, make_decoder
from heliograph.commands.decoding import DecodingProcess
from heliograph.commands.quantities import byte_count, count
from heliograph.commands.send import add_link_options, required, teller
from heliograph.errors import HeliographError, LinkError, OutputError
from heliograph.link.drive import End, drive
from heliograph.link.events import Event
from heliograph.link.one_way.receiver import OneWayReceiver
from heliograph.link.port import Port
from heliograph.link.transfer.quota import Quotas
from heliograph.link.transfer.receiver import Receiver
from heliograph.link.transfer.store import Store
from heliograph.link.wire import keys
from heliograph.server.catalogue import Catalogue
from heliograph.server.decoders import KINDS
from heliograph.stop import Stop

NAME = "receive"
HELP = "streams from a serial link or a folder, on the host"
LOOK = 0.3  # seconds between two looks at a folder in which nothing is new


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_link_options(parser, are_many=True)
    parser.add_argument(
        "--ask",
        action="store_true",
        help="with --one-way, where the first port goes back too: say how many packets a picture lacks",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the inbox: streams are kept as DIR/<device>/<name>"
    )
    parser.add_argument(
        "--watch",
        type=Path,
        metavar="DIR",
        help="instead of a link: decode what comes into a folder, with --pictures",
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help="decode what comes as DIR/<device>/<name>.png, and as .partial.png while it arrives",
    )
    parser.add_argument(
        "--device-quota",
        type=byte_count,
        default=Quotas.device,
        metavar="BYTES",
        help="that one device may take in the inbox, such as 500M (4G)",
    )
    parser.add_argument(
        "--quota", type=byte_count, default=Quotas.total, metavar="BYTES", help="that all may take (32G)"
    )
    parser.add_argument(
        "--max-devices",
        type=count,
        default=Quotas.devices,
        metavar="N",
        help="that get a folder (%(default)s)",
    )
    add_decoder_options(parser, kinds=KINDS)


def run(arguments: argparse.Namespace) -> int:
    """Receive until a signal comes; return the exit code."""
    if arguments.watch is not None:
        if arguments.port is not None or arguments.out is not None:
            raise LinkError("--watch takes streams from a folder: give it without --port and --out")
        required(arguments, "pictures")
        if not arguments.watch.is_dir():
            raise LinkError(f"{arguments.watch} is not a folder; give the one that streams come into")
        return decode_what_comes(arguments)
    required(arguments, "port", "out")
    if len(arguments.port) > 1 and not arguments.one_way:
        raise LinkError(
            "several ports add up with --one-way only; give one --port, or --one-way at both ends"
        )
    if arguments.out.exists() and not (
        arguments.out.is_dir() and os.access(arguments.out, os.W_OK | os.X_OK)
    ):
        raise OutputError(
            f"{arguments.out} is no folder that this user can write to; give another with --out"
        )
    key = keys.read_key_file(arguments.key_file) if arguments.key_file else None
    store = Store(arguments.out, Quotas(arguments.device_quota, arguments.quota, arguments.max_devices))
    # Which picture a stream is knows who decodes it: the other process, whose catalogue is read here.
    lacks = None if arguments.pictures is None else Catalogue(arguments.out, Registry()).lacks
    end: OneWayReceiver | Receiver
    if arguments.one_way:
        end = OneWayReceiver(store, key=key, asks=arguments.ask)
    else:
        end = Receiver(store, key=key, lacks=lacks)
    tell = teller(Console.of(arguments))
    with _decoding(arguments) as look, Stop(look) as stop:
        others: list[threading.Thread] = []
        failed: list[HeliographError] = []

        def hear(ear: End, port: str) -> None:
            try:
                _listen(ear, port, arguments, stop, tell)
            except HeliographError as error:  # as on the first port: it ends the receiver, and is told
                failed.append(error)
                stop.set()

        try:
            if isinstance(end, OneWayReceiver):
                others = [
                    threading.Thread(target=hear, args=(end.ear(), port)) for port in arguments.port[1:]
                ]
            for other in others:
                other.start()
            _listen(end, arguments.port[0], arguments, stop, tell)
            end.close()
        finally:
            stop.set()
            for other in others:
                other.join()
            for event in end.take_events():
                tell(event)
            store.close()
    if failed:
        raise failed[0]
    return 0


def _listen(
    end: End, port: str, arguments: argparse.Namespace, stop: Stop, tell: Callable[[Event], None]
) -> None:
    """Hear a port until the end."""
    drive(
        end,
        lambda: Port(port, arguments.baud, hardware_flow=arguments.rtscts),
        stop,
        tell=tell,
        is_over=lambda: False,
        keep_trying=True,
    )


@contextlib.contextmanager
def _decoding(arguments: argparse.Namespace) -> Iterator[Callable[[], None]]:
    """Decode what is received in a process of its own, if that is wished; yields what keeps it running."""
    if arguments.pictures is None:
        yield lambda: None
        return
    make_decoder(arguments)  # a codec that is not there is an error now and not in the other process
    options = argparse.Namespace(**{**vars(arguments), "watch": arguments.out, "run": None})
    process = DecodingProcess(_decode_or_report, options, teller(Console.of(arguments)))
    try:
        yield process.look
    finally:
        process.close()


def _decode_or_report(arguments: argparse.Namespace) -> int:
    try:
        return decode_what_comes(arguments)
    except HeliographError as error:  # the streams are still received
        report_error(error)
        return 2


def decode_what_comes(arguments: argparse.Namespace) -> int:
    """Decode what comes into the folder `watch`, until a signal comes or the process that started this is gone."""
    from heliograph.server.watch import Watch

    watch = Watch(arguments.watch, arguments.pictures, make_decoder(arguments))
    tell = teller(Console.of(arguments))
    parent = multiprocessing.parent_process()
    with Stop() as stop:
        while not stop.is_set and (parent is None or parent.is_alive()):
            is_idle = True
            for watched in watch.step():
                is_idle = False
                stream, outcome = watched.stream, watched.outcome
                told: dict[str, object] = {"device": stream.device, "name": stream.name}
                if outcome.error is not None:
                    again = {"again_in": watched.pause} if watched.pause else {}
                    tell(Event("undecoded", told | {"reason": str(outcome.error)} | again))
                else:
                    told |= {"width": outcome.width, "height": outcome.height, "bytes": stream.held}
                    told |= {"state": outcome.loss or "complete", "path": str(outcome.task.target)}
                    tell(Event("decoded", told))
                if stop.is_set:
                    break
            if is_idle:
                stop.wait(LOOK)
    return 0
