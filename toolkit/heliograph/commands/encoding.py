"""The options of commands that encode: codec, rate, slices, runtime."""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt

from heliograph.codec import manifest
from heliograph.codec.quantise import QUALITIES
from heliograph.device.encoder import Encoder
from heliograph.device.runtime import RUNTIMES


def quality(text: str) -> float:
    """Parse a quality."""
    value = float(text)
    if not 0 <= value < QUALITIES:
        raise argparse.ArgumentTypeError(f"quality is {text}, expected 0 to {QUALITIES - 1}")
    return value


def above_zero(text: str) -> float:
    """Parse a budget."""
    value = float(text)
    if not 0 < value < 1e12:
        raise argparse.ArgumentTypeError(f"budget is {text}, expected more than 0")
    return value


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `make_encoder` and `encode` read."""
    parser.add_argument(
        "--codec",
        default="accelerator",
        metavar="NAME_OR_DIR",
        help="a shipped codec or a codec's folder (%(default)s)",
    )
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "--quality", type=quality, default=50, metavar="0..100", help="0 smallest, 100 finest (%(default)s)"
    )
    rate.add_argument(
        "--max-bytes", type=above_zero, metavar="N", help="the finest stream of at most N bytes instead"
    )
    rate.add_argument("--bpp", type=above_zero, metavar="X", help="the same with X bits per pixel")
    parser.add_argument(
        "--slices",
        type=int,
        choices=range(65),
        default=0,
        metavar="TILES",
        help="slices of TILES x TILES tiles that survive each other's loss; 0: one slice (%(default)s)",
    )
    parser.add_argument(
        "--runtime", choices=list(RUNTIMES), help="TFLite runtime; default: the first installed"
    )
    parser.add_argument(
        "--delegate", metavar="LIB", help="accelerator's library, for example libedgetpu.so.1"
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (%(default)s)")


def make_encoder(arguments: argparse.Namespace) -> Encoder:
    """Return the encoder that was asked for; CodecError, RuntimeUnavailableError."""
    return Encoder(
        manifest.find(arguments.codec),
        runtime=arguments.runtime,
        delegate=arguments.delegate,
        threads=arguments.threads,
    )


def encode(
    encoder: Encoder, picture: npt.NDArray[np.uint8], arguments: argparse.Namespace, *, layered: bool = False
) -> bytes:
    """Return the stream of a picture at the rate that was asked for; PictureError if it cannot be."""
    budget, bpp, slices = arguments.max_bytes, arguments.bpp, arguments.slices
    if budget is None and bpp is None:
        return encoder.encode(picture, arguments.quality, slice_tiles=slices, layered=layered)
    max_bytes = None if budget is None else int(budget)
    return encoder.encode_within(
        picture, max_bytes=max_bytes, bpp=bpp, slice_tiles=slices, layered=layered
    ).data
