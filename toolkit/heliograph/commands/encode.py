"""Encode pictures to .helio streams with a codec's int8 encoder; needs neither TensorFlow nor Keras."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import manifest
from heliograph.codec.rate import QUALITIES
from heliograph.commands import batch
from heliograph.device.encoder import Encoder
from heliograph.device.runtime import RUNTIMES
from heliograph.pictures import load_srgb
from heliograph.validate import digests

NAME = "encode"
HELP = "pictures to .helio streams, on the device"


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


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "pictures", metavar="PICTURE", nargs="+", type=Path, help="JPEG, PNG, TIFF, WebP, AVIF ..."
    )
    batch.add_output_options(parser, ".helio")
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
    parser.add_argument(
        "--with-digest",
        action="store_true",
        help="also write STREAM.digest: what this machine reads from its stream, for heliograph validate --streams",
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (%(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Encode every picture; return the exit code."""
    pairs = batch.pair_outputs(arguments.pictures, arguments.out, ".helio", force=arguments.force)
    codec = manifest.find(arguments.codec)
    encoder = Encoder(
        codec, runtime=arguments.runtime, delegate=arguments.delegate, threads=arguments.threads
    )

    def encode(source: Path, target: Path) -> batch.Result:
        began = time.perf_counter()
        picture = load_srgb(source)
        data = _encode(encoder, picture, arguments)
        batch.store(target, data)
        if arguments.with_digest:
            batch.store(digests.beside(target), digests.record(data, codec, encoder.runtime))
        return batch.Result.of(data, time.perf_counter() - began)

    return batch.run_each(pairs, encode, as_json=arguments.json)


def _encode(encoder: Encoder, picture: npt.NDArray[np.uint8], arguments: argparse.Namespace) -> bytes:
    budget, bpp, slices = arguments.max_bytes, arguments.bpp, arguments.slices
    if budget is None and bpp is None:
        return encoder.encode(picture, arguments.quality, slice_tiles=slices)
    max_bytes = None if budget is None else int(budget)
    return encoder.encode_within(picture, max_bytes=max_bytes, bpp=bpp, slice_tiles=slices).data
