"""Steps as integers, and the dead zone: how far below a half symbols are rounded down at each quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import quantise
from heliograph.train.context_fit import entropy
from heliograph.train.rate_distortion import LAMBDA_HIGH, LAMBDA_LOW

CANDIDATES = (80, 96, 104, 112, 120, 128)  # in 1/256 of a step; 128 is to nearest
FACTORS = (0.85, 1.18)  # tried on each group of channels
PROBES = (5, 35, 65, 95)  # qualities tried; those between are interpolated
Values = npt.NDArray[np.float64]
Decode = Callable[[Any, int], npt.NDArray[np.uint8]]  # dequantised values of any dtype, and a quality


def integer_steps(steps: npt.NDArray[np.float64], unit: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    """Return trained steps [101, C] in the float encoder's units as sixteenths of an int8 latent unit.

    `unit` [C] is what one int8 latent unit times 128 is worth.
    """
    sixteenths = np.round(steps / unit * 128 * quantise.STEP_UNIT)
    return np.clip(sixteenths, quantise.STEP_UNIT, 65535).astype(np.uint16)


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


def fit_steps(
    maps: Sequence[npt.NDArray[np.int8]],
    pictures: Sequence[npt.NDArray[np.uint8]],
    steps: npt.NDArray[np.uint16],
    groups: Sequence[npt.NDArray[np.integer]],
    decode: Decode,
) -> npt.NDArray[np.uint16]:
    """Return steps uint16 [101, C] whose groups of channels are scaled to minimise bits + lambda * MSE.

    For each group in turn a factor around 1 is chosen at the probed qualities; between those it is interpolated.

    Args:
        maps, pictures, decode: as for `fit_rounding`.
        steps: uint16 [101, C], what to start from.
        groups: channel numbers of each group; every channel is in one.
    """
    factors = np.ones((len(PROBES), steps.shape[1]))
    for row, quality in enumerate(PROBES):
        lam = LAMBDA_LOW * (LAMBDA_HIGH / LAMBDA_LOW) ** (quality / (quantise.QUALITIES - 1))

        def cost(trial: npt.NDArray[np.float64], quality: int = quality, lam: float = lam) -> float:
            scaled = _scaled(steps[quality], trial)
            symbols = [quantise.quantise(m, scaled, 128) for m in maps]
            error = [
                np.square(decode(k * scaled.astype(np.float64), quality).astype(np.float64) - picture).mean()
                for k, picture in zip(symbols, pictures, strict=True)
            ]
            return _bits_per_pixel(symbols) + lam * float(np.mean(error))

        best = cost(factors[row])
        for group in groups:
            for factor in FACTORS:
                trial = factors[row].copy()
                trial[group] *= factor
                found = cost(trial)
                if found < best:
                    best, factors[row] = found, trial
    qualities = np.arange(quantise.QUALITIES)
    by_quality = np.stack([np.interp(qualities, PROBES, column) for column in factors.T], axis=1)
    return _scaled(steps, by_quality)


def _scaled(steps: npt.NDArray[np.uint16], factor: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    return np.clip(np.round(steps * factor), quantise.STEP_UNIT, 65535).astype(np.uint16)
