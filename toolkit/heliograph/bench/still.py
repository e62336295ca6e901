"""A budget becomes quality where a scene stands still: pictures of one scene, each in so many bytes, with site memory.

    python -m heliograph.bench.still PICTURE [--codec NAME] [--max-bytes N] [--pictures N] [--noise D]

Each picture is the scene with new noise, as a sensor adds it; PSNR is against the scene without.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.registry import open_codec
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import HeliographError
from heliograph.measure.metrics import psnr
from heliograph.pictures import load_srgb
from heliograph.server.decoders import open_decoder


@dataclass(frozen=True)
class Sent:
    """One picture: bytes of its stream, its quality, how many pictures it builds on, dB over RGB."""

    size: int
    quality: float
    depth: int
    psnr: float


def send(
    codec: Codec, scene: npt.NDArray[np.uint8], *, max_bytes: int, pictures: int, noise: float
) -> Iterator[Sent]:
    """Yield what pictures of a scene uint8 [H, W, 3] become; `noise` is its deviation in levels."""
    decoder = open_decoder("server", codec)
    with tempfile.TemporaryDirectory() as folder:
        encoder = Encoder(codec, memory=folder, threads=2)
        assert encoder.memory is not None
        for number in range(pictures):
            grain = np.random.default_rng(number).normal(0, noise, scene.shape)
            taken = np.clip(scene + grain + 0.5, 0, 255).astype(np.uint8)
            stream = encoder.encode(taken, Rate(max_bytes=max_bytes))
            decoded = decode_stream(stream, codec, references=encoder.memory.values)
            shown = decoder.decode(decoded)
            yield Sent(len(stream), decoded.quality, decoded.as_reference().depth, psnr(scene, shown))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each picture; return the exit code."""
    parser = argparse.ArgumentParser(description="Show a budget become quality where a scene stands still.")
    parser.add_argument("picture", type=Path, help="the scene")
    parser.add_argument("--codec", default="accelerator", help="a codec's name or folder (%(default)s)")
    parser.add_argument("--max-bytes", type=int, default=4000, help="of each picture (%(default)s)")
    parser.add_argument("--pictures", type=int, default=20, help="(%(default)s)")
    parser.add_argument("--noise", type=float, default=2.0, help="its deviation in levels (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        scene = load_srgb(options.picture)
        print("picture  bytes  quality  depth  PSNR, dB")
        sent = send(
            open_codec(options.codec),
            scene,
            max_bytes=options.max_bytes,
            pictures=options.pictures,
            noise=options.noise,
        )
        for number, one in enumerate(sent, 1):
            print(f"{number:7} {one.size:6} {one.quality:8.1f} {one.depth:6} {one.psnr:9.2f}", flush=True)
    except HeliographError as error:
        print(f"still: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
