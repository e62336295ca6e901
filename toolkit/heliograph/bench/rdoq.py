"""What rate–distortion optimised quantisation (RDOQ) saves against the dead zone, at every strength, and its time.

    python -m heliograph.bench.rdoq CODEC PICTURE... [--strengths S ...]

CODEC is a codec's name or folder with a server decoder, which PSNR over RGB is by. Bytes are those of whole files.
Encoders use strength 20. Times are CPU times of one thread, with and without RDOQ in turn.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from heliograph.bench.entropy import Map, load
from heliograph.codec import registry
from heliograph.codec.codec import Codec
from heliograph.codec.distortion import STRENGTH
from heliograph.codec.levels import from_quality
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import HeliographError
from heliograph.measure import metrics
from heliograph.measure.curves import Point, bd_rate
from heliograph.measure.rate_distortion import EQUAL_DB, Picture
from heliograph.server.decoder import ServerDecoder

DEAD_ZONE = 0
QUALITIES = (5, 20, 40, 60, 80, 95)
ANCHORS = (-16, -8, 0, 2, 10, 30, 50, 70, 90, 100)  # more of the dead zone's curve, to interpolate in
STRENGTHS = (8, 10, 12, 14, 17, STRENGTH, 24, 28, 34)
ROUNDS = 5


def measure(
    decoder: ServerDecoder, one: Map, picture: Picture, strength: int, qualities: Sequence[float]
) -> list[Point]:
    """Return bits per pixel and PSNR of a picture at every quality."""
    packer = Packer(decoder.codec, one.latents, one.width, one.height, strength=strength)
    streams = [packer.at(from_quality(quality)) for quality in qualities]
    shown = [decoder.decode(decode_stream(stream, decoder.codec)) for stream in streams]
    return [
        Point(8 * len(stream) / (one.width * one.height), min(EQUAL_DB, metrics.psnr(picture, s)))
        for stream, s in zip(streams, shown, strict=True)
    ]


def saved(dead_zone: Sequence[Point], points: Sequence[Point]) -> list[float]:
    """Return the rate of each point against that of a curve at the same PSNR; -0.02 is two hundredths less.

    Where the curve does not reach it is extended.
    """
    envelope: list[Point] = []
    for point in sorted(dead_zone, key=lambda p: p.bpp):
        if not envelope or point.db > envelope[-1].db:
            envelope.append(point)
    rate = PchipInterpolator([p.db for p in envelope], np.log([p.bpp for p in envelope]))
    return [float(p.bpp / np.exp(rate(p.db)) - 1) for p in points]


def table(
    decoder: ServerDecoder, maps: Sequence[Map], pictures: Sequence[Picture], strengths: list[int]
) -> None:
    """Print for each strength the bytes at equal PSNR by quality, means over pictures, and BD-rate of mean curves."""
    both = list(zip(maps, pictures, strict=True))
    anchors = [measure(decoder, *pair, DEAD_ZONE, (*QUALITIES, *ANCHORS)) for pair in both]
    reference = _mean([curve[: len(QUALITIES)] for curve in anchors])
    print("bytes at equal PSNR against the dead zone, by quality")
    print("strength   " + "  ".join(f"{q:6}" for q in QUALITIES) + "  BD-rate")
    for strength in strengths:
        curves = [measure(decoder, *pair, strength, QUALITIES) for pair in both]
        by_quality = np.mean([saved(a, c) for a, c in zip(anchors, curves, strict=True)], axis=0)
        difference = bd_rate(reference, _mean(curves))[0]
        print(
            f"{strength:8}   " + "  ".join(f"{s:+6.2%}" for s in by_quality) + f"  {difference:+7.2%}",
            flush=True,
        )


def _mean(curves: Sequence[Sequence[Point]]) -> list[Point]:
    return [
        Point(float(np.mean([p.bpp for p in at])), float(np.mean([p.db for p in at])))
        for at in zip(*curves, strict=True)
    ]


def times(codec: Codec, one: Map, picture: Picture) -> None:
    """Print the CPU time of one thread with RDOQ over that without, of the whole encode, network included."""
    encoder, quality, budget = Encoder(codec), Rate(quality=50), Rate(bpp=0.25)
    fast = Packer(codec, one.latents, one.width, one.height, strength=DEAD_ZONE)
    full = Packer(codec, one.latents, one.width, one.height)
    work: dict[str, Callable[[], object]] = {
        "network": lambda: encoder.latents(picture),
        "quality, dead zone": lambda: fast.pack(quality),
        "quality, RDOQ": lambda: full.pack(quality),
        "budget, dead zone": lambda: fast.pack(budget),
        "budget, RDOQ": lambda: full.pack(budget),
    }
    best = dict.fromkeys(work, float("inf"))
    for _ in range(ROUNDS):
        for name, run in work.items():
            began = time.thread_time()
            run()
            best[name] = min(best[name], time.thread_time() - began)
    print(
        f"\n{one.name}, {one.width}x{one.height}, CPU ms: "
        + ", ".join(f"{n} {1000 * t:.1f}" for n, t in best.items())
    )
    for rate in ("quality", "budget"):
        with_rdoq, without = (best["network"] + best[f"{rate}, {how}"] for how in ("RDOQ", "dead zone"))
        print(f"a whole encode at a {rate} takes {with_rdoq / without:.2f} times the time of the dead zone's")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; return the exit code."""
    parser = argparse.ArgumentParser(description="Report what RDOQ saves and costs.")
    parser.add_argument("codec", help="a codec's name or folder")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--strengths", nargs="*", type=int, default=list(STRENGTHS))
    options = parser.parse_args(arguments)
    try:
        codec = registry.open_codec(options.codec)
        maps, pictures = load(codec, options.pictures)
        print(f"{codec.name}, {len(maps)} pictures")
        table(ServerDecoder(codec), maps, pictures, options.strengths)
        times(codec, maps[0], pictures[0])
    except HeliographError as error:
        print(f"rdoq: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
