"""What pictures to refer to brings: how many of the last, a running mean, the same hour of yesterday, how deep a chain.

    python -m heliograph.bench.memory DIR [--codec NAME] [--quality Q] [--every N] [--day N]

DIR is a folder of folders, each with a fixed camera's pictures in the order of their names. Bytes are those of real
streams at one quality, whose PSNR changes little; how the defaults of site memory were chosen. Also what contexts cost.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from heliograph.bench.entropy import Map, load
from heliograph.codec import registry
from heliograph.codec.codec import Codec
from heliograph.codec.coder import Reference
from heliograph.codec.distortion import STRENGTH
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.levels import from_quality, row_of
from heliograph.codec.memory import KEEP, MAX_DEPTH
from heliograph.codec.pack import Packer
from heliograph.codec.passes import walk as walk_passes
from heliograph.codec.rate import Rate
from heliograph.codec.tiles import STRIDE
from heliograph.codec.values import ReferencePicture
from heliograph.errors import HeliographError
from heliograph.measure.sites import find

KEPT = (1, 2, 4, 8)
DEPTHS = (4, 8, 16, 32)
MEAN_OF = 8
Past = Sequence[ReferencePicture]
Choose = Callable[
    [Past], list[ReferencePicture]
]  # which of all earlier pictures may be referred to, newest last


def last(count: int, max_depth: int = MAX_DEPTH) -> Choose:
    """Return what refers to the last so many pictures that build on fewer than `max_depth`, as `Memory.candidates`."""
    return lambda past: [one for one in past[-count:] if one.depth < max_depth and past[-1].depth < max_depth]


def with_mean(choose: Choose) -> Choose:
    """Return what may also refer to a running mean, which both ends compute in integers of what they have."""

    def chosen(past: Past) -> list[ReferencePicture]:
        found = choose(past)
        if not found:
            return found
        total = MEAN_OF * past[0].values.astype(np.int32)
        for one in past[1:]:
            total += one.values - total // MEAN_OF
        return [*found, replace(found[-1], values=(total // MEAN_OF).astype(np.int16))]

    return chosen


def with_yesterday(choose: Choose, day: int) -> Choose:
    """Return what may also refer to the picture `day` pictures ago."""
    return lambda past: choose(past) and choose(past) + last(1)(past[: max(0, len(past) - day + 1)])


def walk(codec: Codec, maps: Sequence[Map], quality: float, choose: Choose) -> tuple[int, int]:
    """Return the bytes of a sequence, each picture with the reference of fewest estimated, and how many have none."""
    past: list[ReferencePicture] = []
    size = alone = 0
    for one in maps:
        packers = [
            Packer(codec, one.latents, one.width, one.height, reference=reference)
            for reference in (None, *choose(past))
        ]
        level = from_quality(quality)
        best = min(packers, key=lambda packer: packer.estimate(level)) if len(packers) > 1 else packers[0]
        packed = best.pack(Rate(quality=quality))
        size += len(packed.data)
        alone += best is packers[0]
        past.append(packed.as_reference())
    return size, alone


def multiply_adds(model: EntropyModel, with_reference: bool) -> float:
    """Return the multiply-adds of a set's networks for each pixel of a picture, where no group is left out."""
    contexts, side, total = model.sets[int(with_reference)], 32, 0
    for layer in range(len(model.layers)):
        for number, positions, _ in walk_passes(layer, side, side):
            network = contexts.network(layer, number)
            if network is None:
                continue
            total += side * side * network.mix.size
            columns = network.choose.size + (network.reference.gate.size if network.reference else 0)
            total += len(positions) * (network.look.size + columns)
    return total / (side * STRIDE) ** 2


def cost(codec: Codec, maps: Sequence[Map], quality: float) -> None:
    """Print what contexts take of time, one thread's, without a reference and with the picture before as one."""
    level, coder = from_quality(quality), codec.coder
    megapixels = sum(one.width * one.height for one in maps[1:]) / 1e6
    for with_reference in (False, True):
        encoding = decoding = 0.0
        before: Reference | None = None
        for number, one in enumerate(maps):
            reference = before if with_reference else None
            rounding = int(coder.model.rounding[row_of(level)])
            began = time.thread_time()
            coded = coder.encode(
                one.latents, level, rounding=rounding, strength=STRENGTH, reference=reference
            )
            between = time.thread_time()
            rows, columns, _ = coded.values.shape
            coder.decode(coded.segments, rows, columns, level, merged=False, reference=reference)
            if number:
                encoding, decoding = (
                    encoding + between - began,
                    decoding + time.thread_time() - between,
                )
            before = Reference(coded.values, level)
        print(
            f"  {'with a reference' if with_reference else 'without one':16}  "
            f"{multiply_adds(coder.model, with_reference):4.0f} multiply-adds a pixel at most, "
            f"{1000 * encoding / megapixels:5.1f} ms a megapixel to encode, "
            f"{1000 * decoding / megapixels:5.1f} to decode"
        )


def report(codec: Codec, folder: Path, quality: float, every: int, day: int | None) -> None:
    """Print a line for each sequence: bytes against those without memory, and how many pictures refer to none."""
    ways: dict[str, Choose] = {f"last {count}": last(count) for count in KEPT}
    ways["1, mean"] = with_mean(last(1))
    if day is not None:
        ways["1, day"] = with_yesterday(last(1), day)
    ways |= {f"depth {depth}": last(KEEP, depth) for depth in DEPTHS}
    sites = find(folder, every)
    width = max(len(site.name) for site in sites)
    print(
        f"{codec.name}, quality {quality:g}: bytes against those without memory, pictures that refer to none; "
        f"depth at most {MAX_DEPTH}, and of the last {KEEP} where it is given"
    )
    print(f"{'':{width}} pictures  alone kB" + "".join(f"{way:>12}" for way in ways))
    shown: list[Map] = []
    for site in sites:
        maps, _ = load(codec, site.paths)
        shown = shown or list(maps[:6])
        before, _ = walk(codec, maps, quality, lambda past: [])
        print(f"{site.name:{width}} {len(maps):8} {before / 1000:9.1f}", end="", flush=True)
        for choose in ways.values():
            size, alone = walk(codec, maps, quality, choose)
            print(f"{100 * (size / before - 1):+7.1f} %{alone:3}", end="", flush=True)
        print()
    print(f"entropy coding of {sites[0].name}, {len(shown)} pictures")
    cost(codec, shown, quality)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; return the exit code."""
    parser = argparse.ArgumentParser(description="Report what pictures to refer to brings on fixed cameras.")
    parser.add_argument("folder", type=Path, help="a folder of folders of pictures")
    parser.add_argument("--codec", default="accelerator", help="a codec's name or folder (%(default)s)")
    parser.add_argument("--quality", type=float, default=40, help="(%(default)s)")
    parser.add_argument("--every", type=int, default=1, help="every so manieth picture (%(default)s)")
    parser.add_argument("--day", type=int, help="pictures in a day, to refer to the same hour of yesterday")
    options = parser.parse_args(arguments)
    try:
        codec = registry.open_codec(options.codec)
        report(codec, options.folder, options.quality, options.every, options.day)
    except HeliographError as error:
        print(f"memory: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
