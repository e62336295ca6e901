"""How fast streams become pictures here, stage by stage, and in how much memory.

    python -m heliograph.bench.throughput
    python -m heliograph.bench.throughput --memory 10000 --sizes 64x48 96x64

The first decodes pictures of a fleet's usual sizes with the pipeline of `heliograph decode`, with the server's and
with the preview decoder, and prints megapixels per second from streams to PNG files and of every stage alone: its
pixels over the seconds its threads were busy. The second decodes many small streams and prints the memory in between.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from heliograph.codec import registry
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder
from heliograph.pictures import load_srgb
from heliograph.samples import sample_pictures
from heliograph.server.decoders import KINDS, Decoder
from heliograph.server.pipeline import Pipeline, Stages, Task
from heliograph.server.watch import write_picture

QUALITIES = (20, 50, 80)
PLACES = 64  # results overwrite each other, so that the disk does not fill


@dataclass(frozen=True)
class Speed:
    """What a run took: seconds from the first stream to the last picture, and the time of each stage."""

    seconds: float
    stages: Stages

    @property
    def megapixels(self) -> float:
        """Megapixels per second, end to end."""
        return self.stages.pixels / 1e6 / self.seconds

    def of(self, stage: str) -> float:
        """Megapixels per second of a stage in one thread, while it was busy."""
        return float(self.stages.pixels / 1e6 / max(getattr(self.stages, stage), 1e-9))


def make_streams(codec: Codec, sizes: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return streams of sample photographs scaled to each (width, height), at several qualities."""
    encoder, streams = Encoder(codec), []
    photos = [Image.fromarray(load_srgb(path)) for path in sample_pictures(colour_only=True)[:3]]
    for size in sizes:
        for photo, quality in zip(photos, QUALITIES, strict=False):
            streams.append(encoder.encode(np.asarray(photo.resize(size)), Rate(quality=quality)))
    return streams


def run(
    decoder: Decoder, streams: list[bytes], count: int, folder: Path, *, threads: int | None = None
) -> Iterator[Pipeline]:
    """Decode `count` streams, those given in turn, to files; yield the pipeline after each.

    Raises:
        HeliographError: of a stream that could not be decoded.
    """
    pipeline = Pipeline(
        decoder, write_picture, read=lambda path: streams[int(path.stem) % len(streams)], threads=threads
    )
    tasks = (Task(Path(f"{n}.helio"), folder / f"{n % PLACES}.{n % 2}.png") for n in range(count))
    for outcome in pipeline.run(tasks):
        if outcome.error is not None:
            raise outcome.error
        yield pipeline


def measure(decoder: Decoder, streams: list[bytes], count: int, *, threads: int | None = None) -> Speed:
    """Return the speed of a pipeline, its decoder loaded and compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in run(decoder, streams, len(streams), Path(folder), threads=threads):
            pass
        began = time.perf_counter()
        for pipeline in run(decoder, streams, count, Path(folder), threads=threads):
            stages = pipeline.stages
        return Speed(time.perf_counter() - began, stages)


def resident() -> float:
    """Return the memory of this process that is in use, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(decoder: Decoder, streams: list[bytes], count: int) -> list[tuple[int, float]]:
    """Decode `count` streams; return (how many were done, MB in use) at every tenth of them."""
    marks = []
    with tempfile.TemporaryDirectory() as folder:
        for done, _ in enumerate(run(decoder, streams, count, Path(folder)), start=1):
            if done % max(1, count // 10) == 0:
                marks.append((done, resident()))
    return marks


def size(text: str) -> tuple[int, int]:
    """Parse WIDTHxHEIGHT."""
    width, _, height = text.partition("x")
    return int(width), int(height)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.bench.throughput", description=__doc__)
    parser.add_argument("--codec", default="accelerator", metavar="NAME_OR_DIR")
    parser.add_argument("--decoders", nargs="+", choices=KINDS[1:], default=KINDS[1:])
    parser.add_argument("--sizes", nargs="+", type=size, default=[(640, 480), (1280, 720)], metavar="WxH")
    parser.add_argument("--count", type=int, default=24, help="streams to decode (%(default)s)")
    parser.add_argument("--memory", type=int, metavar="N", help="instead: the memory over N streams")
    parser.add_argument("--threads", type=int, help="of entropy decoding, and as many of writing")
    parser.add_argument(
        "--peak",
        type=float,
        metavar="TFLOPS",
        help="of the device in the decoder's precision: print the share",
    )
    options = parser.parse_args(arguments)
    codec = registry.open_codec(options.codec)
    streams = make_streams(codec, options.sizes)
    sizes = ", ".join(f"{w}x{h}" for w, h in options.sizes)
    bits = 8 * sum(map(len, streams)) / sum(len(QUALITIES) * w * h for w, h in options.sizes)
    print(f"codec {codec.name}, pictures of {sizes}, {bits:.2f} bits per pixel, {os.cpu_count()} CPU cores")
    for kind in options.decoders:
        decoder = Decoder(codec, kind, threads=os.cpu_count() or 1)
        if options.memory:
            marks = ", ".join(
                f"{done}: {used:.0f}" for done, used in memory(decoder, streams, options.memory)
            )
            print(f"{kind} decoder, MB in use after so many streams: {marks}")
            continue
        speed = measure(decoder, streams, options.count, threads=options.threads)
        print(
            f"{kind} decoder: {speed.megapixels:.2f} MP/s end to end, {options.count / speed.seconds:.2f} pictures/s"
        )
        each = ", ".join(f"{stage} {speed.of(stage):.2f}" for stage in ("entropy", "network", "write"))
        print(f"  MP/s of each stage while busy (entropy and writing: of one thread): {each}")
        entry = codec.manifest.get("server_decoder" if kind == "server" else "preview_decoder", {})
        if "kmac_per_pixel" in entry:
            flops = 2e3 * entry["kmac_per_pixel"] * speed.of("network") * 1e6
            share = f", {100 * flops / 1e12 / options.peak:.1f} % of the peak" if options.peak else ""
            print(f"  network: {entry['kmac_per_pixel']} kMAC per pixel, {flops / 1e9:.1f} GFLOP/s{share}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
