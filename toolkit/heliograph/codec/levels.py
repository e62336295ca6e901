"""Levels: the fine scale of qualities a stream can have, and which positions are coded when.

A level is 0 to 1023. Level 223 + 8 q is quality q, eighths of a quality lie between, and the 223 levels below
quality 0 multiply its steps by up to 16, so that budgets of a few hundred bytes can be met.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

QUALITIES = 101  # quality 0 (smallest) to 100 (finest)
LEVELS = 1024
PER_QUALITY = 8
STEP_ROWS, ROW_SHIFT = 26, 5  # rows of steps in a codec, 32 levels apart
LEAST_STEP = 4  # sixteenths: finer than the mean of four copies is no latent
LEVEL_0 = LEVELS - 1 - PER_QUALITY * (QUALITIES - 1)  # 223, the level of quality 0


def from_quality(quality: float) -> int:
    """Return the level nearest to a quality of -27.875 to 100; ValueError outside."""
    level = round(LEVEL_0 + PER_QUALITY * quality)
    if not 0 <= level < LEVELS:
        raise ValueError(f"quality is {quality}, expected 0 to 100")
    return level


def to_quality(level: int) -> float:
    """Return the quality of a level, -27.875 to 100.0 in eighths."""
    return (level - LEVEL_0) / PER_QUALITY


def row_of(level: int) -> int:
    """Return the row of steps and rounding at or below a level; the first below quality 0."""
    return max(0, level - LEVEL_0) >> ROW_SHIFT


def steps_at(steps: npt.NDArray[np.uint16], level: int) -> npt.NDArray[np.int32]:
    """Return the steps of a level, int32 [C] in sixteenths of a latent unit, from uint16 [26, C].

    Between two rows they are interpolated; below quality 0 they are its steps times 1 + e / 64 + (e / 64)^2 with
    e = 223 - level, about 1.5 % from one level to the next. At most 65,535.
    """
    if level < LEVEL_0:
        below = LEVEL_0 - level
        scaled = (steps[0].astype(np.int64) * (4096 + 64 * below + below**2)) >> 12
        return np.asarray(np.minimum(scaled, 65_535), np.int32)
    row, part = row_of(level), (level - LEVEL_0) % (1 << ROW_SHIFT)
    low, high = steps[row].astype(np.int32), steps[min(row + 1, STEP_ROWS - 1)].astype(np.int32)
    return np.asarray((low * (32 - part) + high * part + 16) >> ROW_SHIFT)
