"""Take pictures on a schedule and keep their streams in a spool until they are sent; needs no TensorFlow."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import logging
import os
import shlex
import sys
from pathlib import Path

from heliograph.codec import container, levels
from heliograph.commands import encoding
from heliograph.commands.console import Console
from heliograph.commands.quantities import byte_count, count, duration, megapixels
from heliograph.device import systemd
from heliograph.device.acknowledged import Acknowledged
from heliograph.device.alone import alone_in_spool, alone_with_source
from heliograph.device.cameras import MAX_PIXELS, SOURCES, Camera, Picture, make_camera, parse_size
from heliograph.device.capture import Captured, CaptureLoop
from heliograph.device.changes import THRESHOLD, ChangeDetector
from heliograph.device.encoder import Encoder
from heliograph.device.sending import SendProcess
from heliograph.device.spool import Spool
from heliograph.errors import CameraError, PictureError
from heliograph.stop import Stop

NAME = "capture"
HELP = "camera to spool, again and again, on the device"


def size(text: str) -> tuple[int, int]:
    """Parse a picture's size."""
    try:
        return parse_size(text)
    except CameraError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def threshold(text: str) -> float:
    """Parse a threshold of changes."""
    value = float(text)
    if not 0 < value <= 255:
        raise argparse.ArgumentTypeError(f"threshold is {text}, expected a number above 0, at most 255")
    return value


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--source", required=True, metavar="SRC", help=f"{SOURCES}; a video comes frame by frame"
    )
    parser.add_argument(
        "--spool", required=True, type=Path, metavar="DIR", help="folder in which streams wait to be sent"
    )
    parser.add_argument(
        "--every",
        type=duration,
        default=600.0,
        metavar="TIME",
        help="between two pictures, such as 30s, 10m, 2h; 0: without a pause (10m)",
    )
    parser.add_argument(
        "--count",
        type=count,
        metavar="N",
        help="end after N pictures; what is not sent then stays in the spool",
    )
    parser.add_argument(
        "--size", type=size, metavar="WxH", help="to ask a picamera or V4L2 camera for; default: its own"
    )
    parser.add_argument(
        "--max-megapixels",
        type=megapixels,
        default=MAX_PIXELS,
        metavar="N",
        help="of a picture in folder:DIR: a larger one is passed over before it is decoded "
        f"({MAX_PIXELS / 1e6:g})",
    )
    parser.add_argument(
        "--skip-unchanged",
        type=threshold,
        nargs="?",
        const=THRESHOLD,
        metavar="THRESHOLD",
        help="skip a picture whose blocks of 32x32 pixels all differ by less than THRESHOLD, of 255, from the last "
        f"one kept; sensor noise hardly moves them ({THRESHOLD:g})",
    )
    parser.add_argument(
        "--spool-bytes",
        type=byte_count,
        metavar="N",
        help="bound of the spool, such as 100M: the oldest pictures are thinned, then dropped; default: the disk",
    )
    parser.add_argument(
        "--port", metavar="URL", help="also run heliograph send on this port, again whenever it ends"
    )
    parser.add_argument(
        "--send-options",
        type=shlex.split,
        metavar="OPTIONS",
        help='more of its options, as one word: --send-options="--baud 9600 --key-file FILE"',
    )
    encoding.add_options(parser)
    parser.add_argument(
        "--base",
        action="store_true",
        help="begin streams with a base, a coarse picture that slow links show first: 7 %% more bytes",
    )
    exclusive = parser.add_mutually_exclusive_group()
    exclusive.add_argument(
        "--no-memory",
        action="store_true",
        help="refer to no earlier pictures; else to those that the receiver has confirmed, kept in DIR/memory",
    )
    exclusive.add_argument(
        "--key-every",
        type=count,
        metavar="N",
        help="for send --one-way, where nothing is confirmed: of N pictures one refers to none, the others to the last "
        "such one that was sent; default: all refer to none there",
    )
    encoding.add_memory_options(parser)
    parser.add_argument(
        "--print-systemd-unit",
        action="store_true",
        help="print a unit for /etc/systemd/system that captures with these options, and do nothing else",
    )


def run(arguments: argparse.Namespace) -> int:
    """Capture until stopped; return the exit code."""
    console = Console.of(arguments)
    if arguments.print_systemd_unit:
        unit = _unit(arguments)
        console.result({"unit": unit}, unit.removesuffix("\n"))
        return 0
    logging.basicConfig(format="heliograph: %(message)s", level=logging.WARNING)
    camera = make_camera(
        arguments.source, size=arguments.size, memory=arguments.spool, max_pixels=arguments.max_megapixels
    )
    encode = _LastingEncoder(arguments)
    with contextlib.ExitStack() as alone:
        kind, _, rest = arguments.source.partition(":")
        if kind == "folder":
            alone.enter_context(alone_with_source(Path(rest)))
        spool = Spool(arguments.spool, max_bytes=arguments.spool_bytes)
        alone.enter_context(alone_in_spool(arguments.spool))
        _capture(arguments, console, camera, encode, spool)
    return 0


def _capture(
    arguments: argparse.Namespace, console: Console, camera: Camera, encode: _LastingEncoder, spool: Spool
) -> None:
    if not arguments.no_memory:
        encode.remember(arguments.spool)
    threshold = arguments.skip_unchanged
    loop = CaptureLoop(
        camera,
        encode,
        spool,
        every=arguments.every,
        count=arguments.count,
        changes=None if threshold is None else ChangeDetector(threshold),
        report=lambda captured: _report(console, captured),
    )
    sender = None
    if arguments.port is not None:
        command = ["send", "--port", arguments.port, "--spool", str(arguments.spool)]
        sender = SendProcess(command + (arguments.send_options or []))

    def look() -> None:
        systemd.notify("WATCHDOG=1")
        if sender is not None:
            sender.look()

    with Stop(look) as stop:
        systemd.notify("READY=1")
        try:
            loop.run(stop)
        finally:
            systemd.notify("STOPPING=1")
            if sender is not None:
                sender.close()


class _LastingEncoder:
    """Encodes pictures; made anew after an accelerator failed, which may have been unplugged and be back."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._rate = encoding.rate(arguments)
        self._encoder: Encoder | None = self._make()
        self._acknowledged: Acknowledged | None = None

    def remember(self, spool: Path) -> None:
        """Refer to what the other end has from now on; OutputError if there can be no memory in the spool."""
        arguments = self._arguments
        assert self._encoder is not None, "before the first picture"
        self._acknowledged = Acknowledged(
            spool,
            self._encoder.codec,
            keep=arguments.keep,
            max_depth=arguments.max_depth,
            key_every=arguments.key_every,
        )

    def __call__(self, picture: Picture) -> bytes:
        encoder = self._encoder or self._make()
        self._encoder = None
        height, width = picture.shape[:2]
        candidates = self._acknowledged.candidates(width, height) if self._acknowledged else []
        try:
            packed = encoder.pack(picture, self._rate, candidates)
        except PictureError:
            self._encoder = encoder
            raise
        self._encoder = encoder
        if self._acknowledged:
            self._acknowledged.made(packed)
        return packed.data

    def _make(self) -> Encoder:
        # A segment for each layer: the spool can thin such streams, the link sends their first layers first.
        return encoding.make_encoder(self._arguments, layered=True, base=self._arguments.base)


def _report(console: Console, captured: Captured) -> None:
    if captured.name is None:
        console.result({"name": None, "skipped": "unchanged"}, "unchanged, skipped")
        return
    header = container.open(captured.data).header
    quality = levels.to_quality(header.level)
    console.result(
        {
            "name": captured.name,
            "width": header.width,
            "height": header.height,
            "stream_bytes": len(captured.data),
            "quality": quality,
            "depth": header.depth,
            "seconds": captured.seconds,
        },
        f"{captured.name}: {header.width}x{header.height}, {len(captured.data)} bytes, quality {quality:g}, "
        f"{f'depth {header.depth}, ' if header.depth else ''}{captured.seconds:.2f} s",
    )


def _unit(arguments: argparse.Namespace) -> str:
    kind = arguments.source.partition(":")[0]
    needed = {"video": kind in ("picamera", "v4l2"), "dialout": arguments.port is not None}
    return systemd.make_unit(
        [sys.executable, "-m", "heliograph", *_words(arguments)],
        spool=arguments.spool.absolute(),
        user=_user(),
        groups=[name for name, is_needed in needed.items() if is_needed],
        is_endless=arguments.count is None and kind != "video",
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, which systemd takes too
        return str(os.getuid())


def _words(arguments: argparse.Namespace) -> list[str]:
    """Return the arguments of the command that does what was asked for, wherever it is run."""
    kind, _, rest = arguments.source.partition(":")
    source = f"{kind}:{Path(rest).absolute()}" if kind in ("folder", "video") else arguments.source
    codec = Path(arguments.codec)
    options = {
        "source": source,
        "spool": arguments.spool.absolute(),
        "every": f"{arguments.every:.3f}".rstrip("0").rstrip(".") + "s",
        "count": arguments.count,
        "size": None if arguments.size is None else "{}x{}".format(*arguments.size),
        "max-megapixels": arguments.max_megapixels / 1e6,
        "skip-unchanged": arguments.skip_unchanged,
        "spool-bytes": arguments.spool_bytes,
        "port": arguments.port,
        "send-options": None if arguments.send_options is None else shlex.join(arguments.send_options),
        "codec": codec.absolute() if codec.is_dir() else codec,
        "slices": arguments.slices or None,
        "runtime": arguments.runtime,
        "delegate": arguments.delegate,
        "threads": arguments.threads,
        "key-every": arguments.key_every,
        "max-depth": arguments.max_depth,
        "keep": arguments.keep,
    }
    rate = encoding.rate(arguments)
    options["quality"] = None if rate.quality is None else f"{rate.quality:g}"
    options |= {"max-bytes": rate.max_bytes, "bpp": rate.bpp}
    # One word each: a value may itself begin with a dash.
    flags = [
        f"--{name}"
        for name in ("base", "fast", "keep-scale", "no-memory")
        if vars(arguments)[name.replace("-", "_")]
    ]
    return [NAME, *flags, *(f"--{name}={value}" for name, value in options.items() if value is not None)]
