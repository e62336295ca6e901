"""Quantisation: int8 latents to symbols and back by an integer step per channel and level."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

QUALITIES = 101  # quality 0 (smallest) to 100 (finest)
STEP_UNIT = 16  # a step of 16 is one int8 latent unit
ROUND_UNIT = 256  # rounding 128 is to nearest; less is a dead zone


def quantise(
    latents: npt.NDArray[np.int8], steps: npt.NDArray[np.integer], rounding: int
) -> npt.NDArray[np.int16]:
    """Return symbols sign(v) * floor((|v| * 16 + step * rounding / 256) / step), in exact integers.

    Args:
        latents: int8 [..., C].
        steps: integers [C], in sixteenths of a latent unit, at least 16.
        rounding: 0 to 128, in 1/256 of a step.
    """
    v = latents.astype(np.int64)
    step = steps.astype(np.int64)
    magnitude = (np.abs(v) * (STEP_UNIT * ROUND_UNIT) + step * rounding) // (step * ROUND_UNIT)
    return np.asarray(np.sign(v) * magnitude, np.int16)


def dequantise(symbols: npt.NDArray[np.int16], steps: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """Return symbol * step, int32 [..., C], in sixteenths of a latent unit."""
    return np.asarray(symbols.astype(np.int32) * steps.astype(np.int32))


def to_int8(values: npt.NDArray[np.int32]) -> npt.NDArray[np.int8]:
    """Return dequantised values rounded half up to latent units and saturated, int8 [..., C]."""
    whole = (values + STEP_UNIT // 2) >> 4
    return np.asarray(np.clip(whole, -128, 127), np.int8)
