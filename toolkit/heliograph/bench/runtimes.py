"""How fast a codec's encoder is on each TFLite runtime, and other codecs beside it.

    python -m heliograph.bench.runtimes --images DIR [--codec NAME_OR_DIR]

All on one thread, per million pixels. How far the runtimes agree is part of `heliograph validate`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import registry
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder
from heliograph.device.runtime import available
from heliograph.measure import baselines
from heliograph.pictures import load_folder

Picture = npt.NDArray[np.uint8]
REPEATS = 3
QUALITY = 50  # of the entropy stage and the baselines: about half a bit per pixel


def seconds_per_megapixel(work: Callable[[Picture], object], pictures: Sequence[Picture]) -> float:
    """Return the best of some rounds over all pictures, in seconds per million pixels."""
    pixels = sum(p.shape[0] * p.shape[1] for p in pictures) / 1e6
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for picture in pictures:
            work(picture)
        times.append((time.perf_counter() - began) / pixels)
    return float(min(times))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument("--codec", default="accelerator", metavar="NAME_OR_DIR")
    a = parser.parse_args()
    codec, pictures = registry.open_codec(a.codec), load_folder(a.images)
    facts = codec.manifest["encoder"]
    print(f"{codec.name}: {facts['parameters']} parameters, {facts['kmac_per_pixel']} kMAC/pixel")
    print(f"{len(pictures)} pictures, one thread, best of {REPEATS} rounds")
    for name in available():
        encoder = Encoder(codec, runtime=name)
        taken = seconds_per_megapixel(encoder.latents, pictures)
        print(f"  encoder network, {name:<20} {1000 * taken:8.1f} ms per megapixel")
    maps = {id(p): encoder.latents(p) for p in pictures}
    taken = seconds_per_megapixel(
        lambda p: Packer(codec, maps[id(p)], p.shape[1], p.shape[0]).pack(Rate(quality=QUALITY)), pictures
    )
    print(f"  steps and entropy coding, quality {QUALITY}   {1000 * taken:8.1f} ms per megapixel")
    for name, baseline in baselines.BASELINES.items():
        taken = seconds_per_megapixel(partial(baselines.encode, name, quality=QUALITY), pictures)
        print(f"  {baseline.label:<37} {1000 * taken:8.1f} ms per megapixel")
    return 0


if __name__ == "__main__":
    sys.exit(main())
