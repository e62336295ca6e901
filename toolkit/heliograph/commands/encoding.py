"""The options of commands that encode: codec, rate, slices, runtime."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.codec import registry
from heliograph.codec.codec import Codec
from heliograph.codec.container import MAX_DEPTH as MOST_DEPTH
from heliograph.codec.memory import KEEP, MAX_DEPTH, Memory
from heliograph.codec.rate import DEFAULT_QUALITY, Rate
from heliograph.commands.quantities import byte_count, count
from heliograph.device.encoder import Encoder
from heliograph.device.runtime import RUNTIMES
from heliograph.errors import RateError


def quality(text: str) -> float:
    """Parse a quality."""
    return _checked("quality", float(text)).quality or 0.0


def bits_per_pixel(text: str) -> float:
    """Parse a budget of bits per pixel."""
    return _checked("bpp", float(text)).bpp or 0.0


def _checked(name: str, value: float) -> Rate:
    try:
        return Rate(**{name: value})  # type: ignore[arg-type]
    except RateError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `make_encoder` and `rate` read."""
    parser.add_argument(
        "--codec",
        default="accelerator",
        metavar="NAME_OR_DIR",
        help="a shipped codec or a codec's folder (%(default)s)",
    )
    exclusive = parser.add_mutually_exclusive_group()
    exclusive.add_argument(
        "--quality", type=quality, metavar="0..100", help=f"0 smallest, 100 finest ({DEFAULT_QUALITY:g})"
    )
    exclusive.add_argument(
        "--max-bytes",
        type=byte_count,
        metavar="N",
        help="the finest stream of at most N bytes instead, such as 8k",
    )
    exclusive.add_argument("--bpp", type=bits_per_pixel, metavar="X", help="the same with X bits per pixel")
    parser.add_argument(
        "--keep-scale",
        action="store_true",
        help="keep the picture's own size for a budget, where a smaller one, enlarged again, would look better",
    )
    parser.add_argument(
        "--slices",
        type=int,
        choices=range(65),
        default=0,
        metavar="TILES",
        help="slices of TILES x TILES tiles that survive each other's loss; 0: one slice (%(default)s)",
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="leave out rate-distortion optimised quantisation: about 60 %% of the time at a quality, the same at a "
        "budget; 1 to 2 %% more bytes",
    )
    parser.add_argument(
        "--runtime", choices=list(RUNTIMES), help="TFLite runtime; default: the first installed"
    )
    parser.add_argument(
        "--delegate", metavar="LIB", help="accelerator's library, for example libedgetpu.so.1"
    )
    parser.add_argument("--threads", type=count, default=1, metavar="N", help="CPU threads (%(default)s)")


def depth(text: str) -> int:
    """Parse how many pictures one may build on."""
    value = count(text)
    if value > MOST_DEPTH:
        raise argparse.ArgumentTypeError(f"depth is {text}, expected 1 to {MOST_DEPTH}")
    return value


def add_memory_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `make_memory` reads."""
    parser.add_argument(
        "--max-depth",
        type=depth,
        default=MAX_DEPTH,
        metavar="N",
        help="with a memory: pictures that one may build on; then comes one that refers to none (%(default)s)",
    )
    parser.add_argument(
        "--keep",
        type=count,
        default=KEEP,
        metavar="N",
        help="with a memory: the last N pictures may be referred to; each takes the time of an estimate (%(default)s)",
    )


def make_memory(arguments: argparse.Namespace, codec: Codec, folder: Path) -> Memory:
    """Return the memory in a folder with the bounds that were asked for; OutputError if it cannot be used."""
    return Memory(folder, codec, keep=arguments.keep, max_depth=arguments.max_depth)


def make_encoder(arguments: argparse.Namespace, *, layered: bool = False, base: bool = False) -> Encoder:
    """Return the encoder that was asked for; CodecError, RuntimeUnavailableError."""
    return Encoder(
        registry.open_codec(arguments.codec),
        slice_tiles=arguments.slices,
        layered=layered,
        base=base,
        fast=arguments.fast,
        runtime=arguments.runtime,
        delegate=arguments.delegate,
        threads=arguments.threads,
    )


def rate(arguments: argparse.Namespace) -> Rate:
    """Return the rate that was asked for."""
    return Rate(arguments.quality, arguments.max_bytes, arguments.bpp, keep_scale=arguments.keep_scale)
