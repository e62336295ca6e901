"""Passes: which positions of a slice are coded when, and which neighbours they know (FORMAT.md, section 5)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_DIRECT = ((-1, 0), (1, 0), (0, -1), (0, 1))
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
Indices = npt.NDArray[np.intp]


def passes(layer: int) -> int:
    """Return the number of passes of a layer: a coarse grid refined in five, or the two of a checkerboard."""
    return 2 if layer else 5


def coded(layer: int, number: int, rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """Return which positions a pass codes, bool [rows, columns]."""
    y, x = np.arange(rows)[:, None], np.arange(columns)[None, :]
    if layer:
        return np.asarray((y + x) % 2 == number)
    coarse = ((y | x) & 1) == 0
    return (
        coarse & ((y & 2) == 0) & ((x & 2) == 0),
        coarse & ((y & 2) == 2) & ((x & 2) == 2),
        coarse & (((y ^ x) & 2) == 2),
        np.asarray((y & x & 1) == 1),
        np.asarray((y + x) % 2 == 1),
    )[number]


def walk(layer: int, rows: int, columns: int) -> Iterator[tuple[int, Indices, Indices]]:
    """Yield each pass of a layer: its number, its positions [n] and their taps [4, n], -1 where outside."""
    for number in range(passes(layer)):
        y, x = np.nonzero(coded(layer, number, rows, columns))
        far = 2 if layer == 0 and number < 3 else 1
        taps = []
        for dy, dx in _DIAGONAL if layer == 0 and number % 2 else _DIRECT:
            ty, tx = y + far * dy, x + far * dx
            ty = np.where((ty < 0) | (ty >= rows), 2 * y - ty, ty)  # outside: the opposite one
            tx = np.where((tx < 0) | (tx >= columns), 2 * x - tx, tx)
            inside = (ty >= 0) & (ty < rows) & (tx >= 0) & (tx < columns)
            taps.append(np.where(inside, ty * columns + tx, -1))
        yield number, y * columns + x, np.stack(taps)


def gather(values: npt.NDArray[np.generic], tap: Indices) -> npt.NDArray[np.float64]:
    """Return rows of values [positions, n] at a tap's positions, float64, zero where it is outside."""
    return np.asarray(np.where(tap[:, None] >= 0, values[tap], 0), np.float64)
