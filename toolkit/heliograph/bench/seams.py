"""Seams: whether the error of a decoded picture is larger along the borders of the encoder's tiles.

    python -m heliograph.bench.seams CODEC PICTURE...

encodes and decodes pictures twice, on two grids of tiles, and prints the ratio at several qualities.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import registry
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.errors import HeliographError

REACH = 16  # pixels on either side of a border that count as the seam: one latent
FREE = 32  # pixels beyond which the encoder's convolutions no longer see a border
QUALITIES = (20, 50, 80)
Picture = npt.NDArray[np.uint8]


def near_borders(length: int, tile: int, reach: int, start: int = 0) -> npt.NDArray[np.bool_]:
    """Return which of `length` pixels lie within `reach` of a border of tiles that begin at `start`."""
    place = np.arange(length)
    near = np.zeros(length, bool)
    for border in range(start or tile, length, tile):
        near |= (place >= border - reach) & (place < border + reach)
    return near


def _near(shape: tuple[int, ...], tile: int, reach: int, start: int) -> npt.NDArray[np.bool_]:
    rows, columns = (near_borders(n, tile, reach, start) for n in shape[:2])
    return np.asarray(rows[:, None] | columns[None, :])


def seam_errors(original: Picture, first: Picture, second: Picture, tile: int) -> tuple[float, float]:
    """Return the sums of squared errors at pixels near tile borders, and at the same pixels away from any.

    Args:
        original: uint8 [H, W, 3].
        first: the same picture encoded in tiles from its corner and decoded.
        second: the picture from row and column tile / 2 on, encoded and decoded by itself; where the first has a
            border this has the middle of a tile, and the other way round, so that content cancels.
    """
    shift = tile // 2
    inner = original[shift:, shift:].astype(np.float64)
    errors = [np.square(inner - first[shift:, shift:]).sum(axis=-1), np.square(inner - second).sum(axis=-1)]
    seam = free = 0.0
    for here, there, start, other in ((0, 1, shift, 0), (1, 0, 0, shift)):
        place = _near(inner.shape, tile, REACH, start) & ~_near(inner.shape, tile, FREE, other)
        place[:FREE] = place[-FREE:] = False  # the picture's own border
        place[:, :FREE] = place[:, -FREE:] = False
        seam += float(errors[here][place].sum())
        free += float(errors[there][place].sum())
    return seam, free


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the ratios; return the exit code."""
    parser = argparse.ArgumentParser(description="Measure the error along tile borders.")
    parser.add_argument("codec", help="a codec's name or folder")
    parser.add_argument("pictures", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    from heliograph.device.encoder import Encoder
    from heliograph.pictures import load_srgb
    from heliograph.server.decoder import ServerDecoder

    try:
        codec = registry.open_codec(options.codec)
        encoder, decoder = Encoder(codec), ServerDecoder(codec)
        originals = [load_srgb(path) for path in options.pictures]
        shift = codec.tile // 2

        def shown(picture: Picture, quality: int) -> Picture:
            data = encoder.encode(np.ascontiguousarray(picture), Rate(quality=quality))
            return decoder.decode(decode_stream(data, codec))

        for quality in QUALITIES:
            sums = np.zeros(2)
            for p in originals:
                first, second = shown(p, quality), shown(p[shift:, shift:], quality)
                sums += seam_errors(p, first, second, codec.tile)
            print(f"quality {quality:3}: error along tile borders {sums[0] / sums[1] - 1:+.1%}")
    except HeliographError as error:
        print(f"seams: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
