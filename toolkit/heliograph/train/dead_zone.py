"""The dead zone: how far beyond a half symbols are still rounded down, at each quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import quantise
from heliograph.train.context_fit import entropy
from heliograph.train.objective import LAMBDA_HIGH, LAMBDA_LOW

CANDIDATES = (80, 96, 104, 112, 120, 128)  # in 1/256 of a step; 128 is to nearest
PROBES = (5, 35, 65, 95)  # qualities tried; those between are interpolated
Values = npt.NDArray[np.float64]
Decode = Callable[[Any, int], npt.NDArray[np.uint8]]  # dequantised values of any dtype, and a quality


def _magnitude(
    maps: Sequence[npt.NDArray[np.int8]], steps: npt.NDArray[np.uint16], rounding: int
) -> tuple[list[npt.NDArray[np.int16]], Values]:
    """Return symbols, and per channel how far beyond its symbol the mean latent of non-zero symbols lies, in steps."""
    symbols = [quantise.quantise(m, steps, rounding) for m in maps]
    flat = np.concatenate([k.reshape(-1, len(steps)) for k in symbols]).astype(np.float64)
    real = np.concatenate([m.reshape(-1, len(steps)) for m in maps]) * (quantise.STEP_UNIT / steps)
    inside = flat != 0
    excess = (np.abs(real) - np.abs(flat)) * inside
    return symbols, excess.sum(axis=0) / np.maximum(inside.sum(axis=0), 1)


def _bits_per_pixel(symbols: Sequence[npt.NDArray[np.int16]]) -> float:
    """Ideal bits under one static table per channel, the tables counted over all maps."""
    flat = np.concatenate([k.reshape(-1, k.shape[-1]) for k in symbols])
    return sum(entropy(channel) for channel in flat.T) / 256


def fit_rounding(
    maps: Sequence[npt.NDArray[np.int8]],
    pictures: Sequence[npt.NDArray[np.uint8]],
    steps: npt.NDArray[np.uint16],
    decode: Decode,
) -> npt.NDArray[np.uint8]:
    """Return the rounding of each quality, uint8 [101], that minimises bits + lambda * MSE of decoded pictures.

    The decoder at hand was trained with rounding to nearest. A decoder fitted on another rounding learns where
    the latents then lie on average, so what it is given here is moved by that difference.

    Args:
        maps: int8 [h, w, C], latents of the pictures.
        pictures: uint8 [16h, 16w, 3].
        steps: uint16 [101, C].
        decode: dequantised values [h, w, C] in sixteenths of a latent unit, and a quality, to pixels.
    """
    best = []
    for quality in PROBES:
        lam = LAMBDA_LOW * (LAMBDA_HIGH / LAMBDA_LOW) ** (quality / (quantise.QUALITIES - 1))
        _, usual = _magnitude(maps, steps[quality], 128)
        cost = {}
        for rounding in CANDIDATES:
            symbols, beyond = _magnitude(maps, steps[quality], rounding)
            error = []
            for k, picture in zip(symbols, pictures, strict=True):
                values = (k + np.sign(k) * (beyond - usual)) * steps[quality].astype(np.float64)
                error.append(np.square(decode(values, quality).astype(np.float64) - picture).mean())
            cost[rounding] = _bits_per_pixel(symbols) + lam * float(np.mean(error))
        best.append(min(cost, key=lambda r: cost[r]))
    return np.round(np.interp(np.arange(quantise.QUALITIES), PROBES, best)).astype(np.uint8)
