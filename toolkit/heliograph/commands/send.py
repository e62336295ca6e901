"""Send the streams of a spool over a serial link, and remove each when the receiver has confirmed it.

A spool is a folder of files ending in .helio: what heliograph capture keeps there, or heliograph encode wrote. They
go in the order of their names. One that has the name of an earlier one takes its place at the receiver.
"""

from __future__ import annotations

import argparse
import socket
import time
from collections.abc import Callable
from pathlib import Path

from heliograph.commands.console import Console
from heliograph.commands.packets import PACKET_BYTES, add_loss_options, losses
from heliograph.commands.quantities import count
from heliograph.device.spool import Spool
from heliograph.errors import LinkError
from heliograph.link.drive import drive
from heliograph.link.events import Event
from heliograph.link.one_way.sender import OneWaySender
from heliograph.link.port import BITS_PER_BYTE, DEFAULT_BAUD, Port
from heliograph.link.transfer.sender import Sender
from heliograph.link.wire import keys, names, session
from heliograph.link.wire.messages import REJECTED_NOW, REJECTIONS
from heliograph.packets.folder import NUMBERS
from heliograph.packets.numbers import PictureNumbers
from heliograph.stop import Stop

NAME = "send"
HELP = "a spool over a serial link, on the device"
ANSWER = 25.0  # seconds in which somebody answers


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_link_options(parser)
    parser.add_argument("--spool", type=Path, metavar="DIR", help="folder of streams that wait")
    parser.add_argument(
        "--device",
        metavar="NAME",
        default=names.device_from_host(socket.gethostname()),
        help="under which the receiver keeps them (%(default)s)",
    )
    parser.add_argument("--once", action="store_true", help="end when the spool is empty, or at a failure")
    add_loss_options(parser, more="with --one-way: ")
    parser.add_argument(
        "--no-spare",
        action="store_true",
        help="with --one-way: send nothing while no picture waits, instead of more packets of the newest ones",
    )
    parser.add_argument("--new-key", type=Path, metavar="FILE", help="make a key file and do nothing else")


def add_link_options(parser: argparse.ArgumentParser, *, are_many: bool = False) -> None:
    """Add what both ends of a link have in common."""
    parser.add_argument(
        "--port",
        metavar="URL",
        action="append" if are_many else "store",
        help="device path, socket://HOST:PORT, rfc2217://HOST:PORT or another pySerial URL",
    )
    parser.add_argument("--baud", type=count, default=DEFAULT_BAUD, metavar="N", help="(%(default)s)")
    parser.add_argument("--rtscts", action="store_true", help="hardware flow control")
    parser.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="key of both ends: encrypt, take nothing that others made; without it whoever writes to the line can "
        "send in a device's name, and who also heard a picture can confirm it, so that it is deleted unreceived",
    )
    parser.add_argument(
        "--one-way",
        action="store_true",
        help="a line that only goes there: packets of which any few give a picture, at both ends",
    )


def required(arguments: argparse.Namespace, *options: str) -> None:
    """Raise LinkError for options that were not given."""
    missing = [f"--{name}" for name in options if getattr(arguments, name) is None]
    if missing:
        raise LinkError(f"{' and '.join(missing)} missing; heliograph COMMAND --help describes them")


def teller(console: Console) -> Callable[[Event], None]:
    """Return what prints events: results to standard output, the rest to standard error, or all as JSON."""

    def tell(event: Event) -> None:
        if console.as_json or event.what in ("sent", "received", "decoded"):
            console.result(event.as_json(), str(event))
        elif event.what == "connected":
            console.note(str(event))
        else:
            console.warn(str(event))

    return tell


def _unanswered(
    end: Sender | OneWaySender, arguments: argparse.Namespace, tell: Callable[[Event], None]
) -> Callable[[], None]:
    """Return what says, when it is called again and again, that nobody answers; with --once as LinkError."""
    since, has_told = time.monotonic(), False
    reason = (
        f"nobody has answered on {arguments.port} for {ANSWER:g} s; start heliograph receive at the other end, and "
        "check the cable and --baud"
    )

    def look() -> None:
        nonlocal since, has_told
        if not isinstance(end, Sender) or end.is_connected:
            since, has_told = time.monotonic(), False
        elif time.monotonic() - since >= ANSWER and not has_told and not end.is_empty:
            if arguments.once:
                raise LinkError(f"{reason}; what waits is kept")
            has_told = True
            tell(Event("unanswered", {"reason": reason}))

    return look


def run(arguments: argparse.Namespace) -> int:
    """Send until the end; return the exit code."""
    if arguments.new_key is not None:
        keys.new_key_file(arguments.new_key)
        Console.of(arguments).result(
            {"key_file": arguments.new_key},
            f"{arguments.new_key}: a new key; copy it to the other end by a safe way, with mode 0600",
        )
        return 0
    required(arguments, "port", "spool")
    if not arguments.spool.is_dir():
        raise LinkError(f"spool {arguments.spool} is not a folder; give the one that pictures are put into")
    key = keys.read_key_file(arguments.key_file) if arguments.key_file else None
    spool, device = Spool(arguments.spool), names.check_device(arguments.device)
    end: Sender | OneWaySender
    if arguments.one_way:
        end = OneWaySender(
            spool,
            device,
            numbers=PictureNumbers(arguments.spool / NUMBERS),
            key=key,
            losses=losses(arguments),
            packet_bytes=arguments.packet_bytes or PACKET_BYTES,
            rate=arguments.baud / BITS_PER_BYTE,
            spares=not (arguments.no_spare or arguments.once),
        )
    else:
        end = Sender(spool, device, key=key)

    def is_over() -> bool:
        if arguments.once and isinstance(end, Sender) and end.refusal is not None:
            raise LinkError(f"the receiver refuses: {session.REFUSALS[end.refusal]}")
        if arguments.once and isinstance(end, Sender) and end.is_paused:
            reason = end.rejection or REJECTED_NOW
            way = "make room there" if reason == REJECTED_NOW else "see what it says there"
            raise LinkError(f"{REJECTIONS[reason]}; {way}, then send again: what waits is kept")
        return bool(arguments.once and end.is_empty)

    tell, is_bare = teller(Console.of(arguments)), not spool.names()
    with Stop(_unanswered(end, arguments, tell)) as stop:
        drive(
            end,
            lambda: Port(arguments.port, arguments.baud, hardware_flow=arguments.rtscts),
            stop,
            tell=tell,
            is_over=is_over,
            keep_trying=not arguments.once,
        )
    if is_bare and arguments.once:
        tell(Event("empty", {"spool": str(arguments.spool), "reason": "no files ending in .helio"}))
    return 0
