"""Tiles: a picture as fixed squares for the accelerator, their latents joined to one map."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from heliograph.errors import PictureError

STRIDE = 16  # pixels per latent position
MAX_SIDE = 65_535
MAX_PIXELS = 1 << 27  # 134 megapixels

Place = tuple[slice, slice]  # rows, columns


def check_size(width: int, height: int) -> None:
    """Raise PictureError unless 1 <= side <= MAX_SIDE and the area is at most MAX_PIXELS."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE) or width * height > MAX_PIXELS:
        raise PictureError(
            f"picture is {width}x{height}: a side must be 1 to {MAX_SIDE} and the area at most "
            f"{MAX_PIXELS} pixels; scale it down or cut it first"
        )


def scaled(side: int, scale: int) -> int:
    """Return the pixels of a side as it is coded at a scale: divided by 1, 1.5, 2, 3, 4, 6 and so on, rounded up."""
    halves = (2 + (scale & 1)) << (scale >> 1)
    return -(-2 * side // halves)


def latent_shape(width: int, height: int) -> tuple[int, int]:
    """Return (rows, columns) of the latent map of a picture."""
    return -(-height // STRIDE), -(-width // STRIDE)


def places(rows: int, columns: int, side: int) -> Iterator[Place]:
    """Yield the squares of `side` latents that cover a map once, row by row, cut at its edge."""
    for y in range(0, rows, side):
        for x in range(0, columns, side):
            yield slice(y, min(y + side, rows)), slice(x, min(x + side, columns))


def in_pixels(place: Place) -> Place:
    """Return the pixels of a place in the latent map; at the edge some are outside the picture."""
    rows, columns = place
    return (
        slice(rows.start * STRIDE, rows.stop * STRIDE),
        slice(columns.start * STRIDE, columns.stop * STRIDE),
    )


def cut(picture: npt.NDArray[np.uint8], tile: int) -> Iterator[tuple[Place, npt.NDArray[np.uint8]]]:
    """Yield every tile of a picture with the place of its latents.

    Args:
        picture: uint8 [H, W, 3].
        tile: side in pixels, a multiple of 16.

    Yields:
        (rows, columns) slices into the latent map, already cut at its edge, and uint8 [tile, tile, 3];
        what a tile covers beyond the picture repeats the picture's last row and column.
    """
    height, width = picture.shape[:2]
    check_size(width, height)
    for place in places(*latent_shape(width, height), tile // STRIDE):
        part = picture[in_pixels(place)]
        down, right = tile - part.shape[0], tile - part.shape[1]
        if down or right:
            part = np.pad(part, ((0, down), (0, right), (0, 0)), mode="edge")
        yield place, np.ascontiguousarray(part)
