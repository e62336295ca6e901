"""Seams: whether the error of a decoded picture is larger along the borders of the encoder's tiles.

    python -m heliograph.validate.seams CODEC PICTURE...

encodes and decodes pictures and prints the ratio at several qualities.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import manifest
from heliograph.codec.pack import pack_latents
from heliograph.codec.stream import decode_stream
from heliograph.errors import HeliographError

REACH = 8  # pixels on either side of a border that count as its neighbourhood
QUALITIES = (20, 50, 80)
Picture = npt.NDArray[np.uint8]


def near_borders(length: int, tile: int, shift: int, reach: int = REACH) -> npt.NDArray[np.bool_]:
    """Return which of `length` pixels lie within `reach` of an inner border of tiles starting at `shift`."""
    place = np.arange(length)
    near = np.zeros(length, bool)
    for border in range(shift or tile, length, tile):
        near |= (place >= border - reach) & (place < border + reach)
    return near


def border_error(original: Picture, decoded: Picture, tile: int, shift: int = 0) -> tuple[float, int]:
    """Return the sum of squared errors near the tile borders, and the number of values in it."""
    rows = near_borders(original.shape[0], tile, shift)[:, None]
    columns = near_borders(original.shape[1], tile, shift)[None, :]
    error = np.square(original.astype(np.float64) - decoded)[rows | columns]
    return float(error.sum()), error.size


def seam_ratio(originals: Sequence[Picture], decoded: Sequence[Picture], tile: int) -> float:
    """Return the mean squared error along tile borders against that along a grid shifted by half a tile.

    1.0 is no seam. The shifted grid crosses the same pictures as often, so that their content cancels.
    """
    sums = np.zeros((2, 2))
    for a, b in zip(originals, decoded, strict=True):
        for row, shift in enumerate((0, tile // 2)):
            sums[row] += border_error(a, b, tile, shift)
    if not sums[:, 1].all() or not sums[1, 0]:
        raise ValueError(f"no picture is larger than a tile of {tile} pixels, or nothing was lost")
    (seam, seam_count), (other, other_count) = sums
    return float((seam / seam_count) / (other / other_count))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the ratios; return the exit code."""
    parser = argparse.ArgumentParser(description="Measure the error along tile borders.")
    parser.add_argument("codec", help="a codec's name or folder")
    parser.add_argument("pictures", nargs="+", type=Path)
    chosen = parser.parse_args(arguments)
    from heliograph.device.encoder import Encoder
    from heliograph.pictures import load_srgb
    from heliograph.server.decoder import ServerDecoder

    try:
        codec = manifest.find(chosen.codec)
        encoder, decoder = Encoder(codec), ServerDecoder(codec)
        originals = [load_srgb(path) for path in chosen.pictures]
        latents = [encoder.latents(p) for p in originals]
        for quality in QUALITIES:
            decoded = []
            for p, y in zip(originals, latents, strict=True):
                data = pack_latents(codec, y, p.shape[1], p.shape[0], quality)
                decoded.append(decoder.decode(decode_stream(data, codec)))
            ratio = seam_ratio(originals, decoded, codec.tile)
            print(f"quality {quality:3}: error along tile borders {ratio - 1:+.1%}")
    except HeliographError as error:
        print(f"seams: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
