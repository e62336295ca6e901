"""Packets as files: `encode --packets` writes a picture's, `decode` makes the best picture of those that are there."""

from __future__ import annotations

import argparse
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from heliograph.codec.rate import Rate
from heliograph.commands import batch
from heliograph.commands.inputs import Refused
from heliograph.commands.quantities import byte_count, count
from heliograph.device.encoder import Encoder
from heliograph.errors import OutputError, PacketError, RateError
from heliograph.link.wire import keys, names
from heliograph.packets import folder
from heliograph.packets.fitting import fit
from heliograph.packets.loss import Losses
from heliograph.packets.numbers import PictureNumbers
from heliograph.packets.packet import KEY_PURPOSE, carried, device_number
from heliograph.packets.packetizer import Packetizer
from heliograph.pictures import load_srgb
from heliograph.server.pipeline import Task

PACKET_BYTES = 256
LOSS = 0.1


def add_loss_options(parser: argparse.ArgumentParser, *, more: str = "") -> None:
    """Add what is known of a link that loses packets."""
    parser.add_argument(
        "--packet-bytes",
        type=byte_count,
        metavar="N",
        help=f"{more}of a packet, 24 to 1400 ({PACKET_BYTES})",
    )
    parser.add_argument(
        "--loss",
        type=float,
        metavar="SHARE",
        help=f"{more}of the packets that will be lost, as far as you know ({LOSS:g})",
    )
    parser.add_argument(
        "--burst",
        type=float,
        metavar="N",
        help=f"{more}packets lost one after the other, in the mean (1)",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `encode --packets`."""
    parser.add_argument(
        "--packets",
        type=count,
        metavar="N",
        help="at most N packets of each picture instead of a stream, a file each in the folder OUT, any of which add "
        "up: decode makes the best picture of those that arrive",
    )
    add_loss_options(parser, more="with --packets: ")
    parser.add_argument(
        "--device",
        metavar="NAME",
        default=names.device_from_host(socket.gethostname()),
        help="with --packets: whose they are (%(default)s)",
    )
    add_key_option(parser)


def add_key_option(parser: argparse.ArgumentParser) -> None:
    """Add the key of packets."""
    parser.add_argument(
        "--key-file", type=Path, metavar="FILE", help="of packets: tag them, take none that others made"
    )


def losses(arguments: argparse.Namespace) -> Losses:
    """Return what the link is said to lose; PacketError."""
    share = LOSS if arguments.loss is None else arguments.loss
    return Losses(share, 1.0 if arguments.burst is None else arguments.burst)


def packet_key(file: Path | None) -> bytes | None:
    """Return the key of tags that a key file gives; LinkError."""
    return None if file is None else keys.derive(keys.read_key_file(file), b"", KEY_PURPOSE)


def check_options(arguments: argparse.Namespace) -> None:
    """Raise RateError or PacketError for options that go only with packets, or only without."""
    packet_only = {
        "--packet-bytes": arguments.packet_bytes,
        "--loss": arguments.loss,
        "--burst": arguments.burst,
    }
    if arguments.packets is None:
        given = [name for name, value in packet_only.items() if value is not None]
        if given:
            raise PacketError(f"{given[0]} is for packets: give --packets N too")
        return
    for name in ("quality", "max_bytes", "bpp"):
        if getattr(arguments, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise RateError(f"{option} and --packets exclude each other: packets have a size; give one")
    if arguments.memory is not None:
        raise PacketError(
            "--memory and --packets exclude each other: what may be lost is not referred to; give one"
        )
    if arguments.out is None:
        raise OutputError("--packets needs a folder for the packets: -o DIR")


class PacketEncoder:
    """Makes the packets of one picture after the other, in the folder OUT.

    Raises:
        PacketError, LinkError: an option is out of range, or the key or the number file cannot be used.
    """

    def __init__(self, arguments: argparse.Namespace, encoder: Encoder) -> None:
        self._encoder, self._count, self._out = encoder, arguments.packets, Path(arguments.out)
        self._losses, self._key = losses(arguments), packet_key(arguments.key_file)
        self._keep_scale = arguments.keep_scale
        self._carried = carried(arguments.packet_bytes or PACKET_BYTES, self._key)
        self._device = device_number(names.check_device(arguments.device))
        self._numbers = PictureNumbers(self._out / folder.NUMBERS)

    def encode(self, task: Task) -> tuple[Task, batch.Result]:
        """Write a picture's packets; return where they are and what they hold."""
        began = time.perf_counter()
        picture = load_srgb(Path(task.source))

        def within(most: int) -> bytes:
            rate = Rate(max_bytes=most, keep_scale=self._keep_scale)
            return self._encoder.pack(picture, rate, whole=True).data

        stream, plan, each = fit(within, self._encoder.codec, self._count, self._carried, self._losses)
        number = self._numbers.take(plan.parts)
        made = Packetizer(stream, plan, self._device, number, key=self._key)
        folder.write_packets(self._out, self._device, number, made.packets(each))
        target = self._out / f"{folder.stem(self._device, number)}-*{folder.SUFFIX}"
        return replace(task, target=target), batch.Result.of(stream, time.perf_counter() - began)


class Joined:
    """The streams that packet files give, as inputs of `decode`: their tasks, and their bytes by source.

    Attributes:
        refused: files that gave nothing.
    """

    def __init__(self, paths: list[Path], out: str | None, key: bytes | None) -> None:
        self._streams: dict[str, bytes] = {}
        self._notes: dict[str, str] = {}
        self._tasks: list[Task] = []
        self.refused = 0
        for path in paths:
            found, refused = folder.collect(folder.find_packets(path), key)
            self.refused += refused
            place = path if path.is_dir() else path.parent
            for one in found:
                name = folder.stem(one.device, one.picture)
                source = str(place / f"{name}-*{folder.SUFFIX}")
                self._streams[source] = one.stream
                self._notes[source] = (
                    ""
                    if one.is_whole
                    else (
                        f"{one.layers} of {one.of_layers} layers are there; {one.missing} more packets give the next"
                    )
                )
                target = place / f"{name}.png" if out is None else Path(out) / f"{name}.png"
                if out is not None and len(found) == len(paths) == 1 and _is_file(out):
                    target = Path(out)
                self._tasks.append(Task(source, target))

    def __len__(self) -> int:
        return len(self._tasks)

    def tasks(self) -> Iterator[Task | Refused]:
        """Yield a task for each picture."""
        yield from self._tasks

    def read(self, source: Path | str) -> bytes:
        """Return the stream of a task, perhaps cut."""
        return self._streams[str(source)]

    def note(self, source: Path | str) -> str:
        """Return how much of a picture is there."""
        return self._notes[str(source)]


def _is_file(out: str) -> bool:
    return not Path(out).is_dir() and Path(out).suffix == ".png"


def has_packets(path: Path) -> bool:
    """Return whether a path is a packet file, or a folder with one somewhere below it."""
    return next(folder.find_packets(path), None) is not None
