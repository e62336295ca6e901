"""Encode pictures to .helio streams with a codec's int8 encoder; needs neither TensorFlow nor Keras."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from heliograph.commands import batch, encoding
from heliograph.pictures import load_srgb
from heliograph.validate import digests

NAME = "encode"
HELP = "pictures to .helio streams, on the device"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "pictures", metavar="PICTURE", nargs="+", type=Path, help="JPEG, PNG, TIFF, WebP, AVIF ..."
    )
    batch.add_output_options(parser, ".helio")
    encoding.add_options(parser)
    parser.add_argument(
        "--with-digest",
        action="store_true",
        help="also write STREAM.digest: what this machine reads from its stream, for heliograph validate --streams",
    )


def run(arguments: argparse.Namespace) -> int:
    """Encode every picture; return the exit code."""
    pairs = batch.pair_outputs(arguments.pictures, arguments.out, ".helio", force=arguments.force)
    encoder, rate = encoding.make_encoder(arguments), encoding.rate(arguments)

    def encode(source: Path, target: Path) -> batch.Result:
        began = time.perf_counter()
        picture = load_srgb(source)
        data = encoder.encode(picture, rate)
        batch.store(target, data)
        if arguments.with_digest:
            batch.store(digests.beside(target), digests.record(data, encoder.codec, encoder.runtime))
        return batch.Result.of(data, time.perf_counter() - began)

    return batch.run_each(pairs, encode, as_json=arguments.json)
