"""Decode .helio streams to PNG pictures, by the server's network or the small int8 preview decoder."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import manifest
from heliograph.codec.manifest import Codec
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.commands import batch
from heliograph.device.runtime import RUNTIMES
from heliograph.pictures import png as png  # other commands take these two from here
from heliograph.server.codecs import open_decoder
from heliograph.server.codecs import read_stream as read_stream

NAME = "decode"
HELP = ".helio streams to pictures, on the host"
Decoder = Callable[[Decoded], npt.NDArray[np.uint8]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("streams", metavar="STREAM", nargs="+", type=Path, help=".helio streams")
    batch.add_output_options(parser, ".png")
    parser.add_argument(
        "--codec", metavar="NAME_OR_DIR", help="where the codec lies, if it is not among the shipped ones"
    )
    parser.add_argument(
        "--decoder",
        choices=["server", "preview"],
        default="server",
        help="server: the large network, needs Keras; preview: int8 on a TFLite runtime (%(default)s)",
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="decode what is there of a cut or damaged stream, and say what was missing",
    )
    parser.add_argument("--runtime", choices=list(RUNTIMES), help="TFLite runtime of the preview decoder")


def run(arguments: argparse.Namespace) -> int:
    """Decode every stream; return the exit code."""
    pairs = batch.pair_outputs(arguments.streams, arguments.out, ".png", force=arguments.force)
    extra = manifest.find(arguments.codec) if arguments.codec else None
    decoders: dict[bytes, Decoder] = {}  # by codec id: streams of several codecs may come in one call

    def decode(source: Path, target: Path) -> batch.Result:
        data = read_stream(source)
        began = time.perf_counter()
        decoded = decode_stream(data, extra, partial=arguments.partial)
        if not decoded.loss.is_none:
            print(f"heliograph: {source}: {decoded.loss}", file=sys.stderr, flush=True)
        unpacked, codec = time.perf_counter() - began, decoded.codec
        if codec.id not in decoders:
            decoders[codec.id] = load_decoder(arguments.decoder, codec, arguments.runtime)
        began = time.perf_counter() - unpacked  # loading a decoder is no part of what a picture takes
        picture = decoders[codec.id](decoded)
        batch.store(target, png(picture))
        return batch.Result.of(data, time.perf_counter() - began)

    return batch.run_each(pairs, decode, as_json=arguments.json)


def load_decoder(kind: str, codec: Codec, runtime: str | None) -> Decoder:
    """Return the decoder of a kind, "server" or "preview"; RuntimeUnavailableError if what it needs is missing."""
    return open_decoder(kind, codec, runtime=runtime).decode
