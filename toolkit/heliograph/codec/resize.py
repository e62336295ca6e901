"""Pictures made smaller by Lanczos-3 in integers: the same bits in C (csrc/resize.c) and here, and on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heliograph.codec import tiles
from heliograph.codec.native_coder import load_core

LOBES, PHASES, MAX_BLOCK = 3, 32, 2048
_ONE = 1 << 14
Picture = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]


def at_scale(picture: Picture, scale: int) -> Picture:
    """Return a picture uint8 [H, W, 3] of the size that is coded at a scale; see `tiles.scaled`."""
    height, width = picture.shape[:2]
    return shrink(picture, tiles.scaled(width, scale), tiles.scaled(height, scale)) if scale else picture


def shrink(picture: Picture, width: int, height: int) -> Picture:
    """Return a picture uint8 [H, W, 3] made as small as [height, width, 3], in C where that was built.

    Where six pixels or more become one, means of squares come first, of which three or more become one. Then a row is
    made small across and rounded, then columns are. Sides are at most 65,535; ValueError if one would grow.
    """
    rows, columns = picture.shape[:2]
    if not (1 <= width <= columns <= tiles.MAX_SIDE and 1 <= height <= rows <= tiles.MAX_SIDE):
        raise ValueError(f"cannot make {columns}x{rows} as small as {width}x{height}")
    core = load_core()
    if core is not None:
        small = core.shrink(picture.tobytes(), columns, rows, width, height)
        return np.frombuffer(small, np.uint8).reshape(height, width, 3)
    return shrink_in_numpy(picture, width, height)


def shrink_in_numpy(picture: Picture, width: int, height: int) -> Picture:
    """Return what `shrink` does, by numpy alone."""
    rows, columns = picture.shape[:2]
    block = min(max(min(columns // width, rows // height) // 3, 1), MAX_BLOCK)
    means = _means(picture, block).transpose(1, 0, 2)
    across = _shrink_rows(means, block, columns, width).transpose(1, 0, 2)
    return np.ascontiguousarray(_shrink_rows(across, block, rows, height))


def _means(picture: Picture, block: int) -> Picture:
    """Return the means of squares, those at the right and lower edge of what there is of them."""
    if block == 1:
        return picture
    rows, columns = (np.arange(0, side, block) for side in picture.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(picture.astype(np.uint32), rows, 0), columns, 1)
    sizes = [np.minimum(block, side - at) for side, at in zip(picture.shape, (rows, columns), strict=False)]
    counts = np.outer(*sizes).astype(np.uint32)[..., None]
    return np.asarray((sums + counts // 2) // counts, np.uint8)


def _shrink_rows(picture: Picture, block: int, length: int, count: int) -> Picture:
    """Return [count, ...] of [ceil(length / block), ...]: the first axis made smaller."""
    blocks = len(picture)
    first, end = spans(block, length, count)
    total = np.zeros(count, np.int32)
    sums = np.zeros((count, *picture.shape[1:]), np.int32)
    for tap in range(int((end - first).max())):
        at = np.minimum(first + tap, blocks - 1)
        w = np.where(first + tap < end, weights(at, block, length, np.arange(count), count), 0).astype(
            np.int32
        )
        total += w
        sums += w[:, None, None] * picture[at]
    divisor = total[:, None, None]
    return np.asarray(np.clip((np.maximum(sums, 0) + divisor // 2) // divisor, 0, 255), np.uint8)


def spans(block: int, length: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each of `count` pixels the first block of `length` that it has a part of, and the last's next."""
    middle = (2 * np.arange(count, dtype=np.int64) + 1) * length
    reach = 2 * LOBES * length
    step = count * block
    end = (middle + reach + step - 1) // (2 * step)
    return np.maximum(middle - reach, 0) // (2 * step), np.minimum(end, -(-length // block))


def weights(
    large: npt.NDArray[np.int64], block: int, length: int, small: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """Return the weight of blocks of `length` in pixels of `count`: Lanczos, linear between 32 places a pixel.

    Where many pixels become one weights are halved so often that their sums stay within 32 bits.
    """
    shift = max(0, (length // (count * block)).bit_length() - 1)
    apart = np.abs((2 * large + 1) * block * count - (2 * small + 1) * length)
    place, rest = np.divmod(apart * (PHASES // 2), length)
    place = np.minimum(place, LOBES * PHASES - 1)
    v = KERNEL[place] * 1024 + (KERNEL[place + 1] - KERNEL[place]) * (rest * 1024 // length)
    inside = apart < 2 * LOBES * length
    return np.where(inside, (v + (1 << (9 + shift))) >> (10 + shift), 0)


def _kernel() -> npt.NDArray[np.int64]:
    x = np.arange(LOBES * PHASES + 1) / PHASES
    return np.rint(_ONE * np.sinc(x) * np.sinc(x / LOBES)).astype(np.int64)


KERNEL = _kernel()  # Lanczos-3 in 1/16384; what csrc/resize.c has as a table
