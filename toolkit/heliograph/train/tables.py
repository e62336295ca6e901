"""Integer steps of a frozen encoder and the dead zone of each quality, from its real latents."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from heliograph.codec import rate
from heliograph.codec.rate import QUALITIES
from heliograph.train.rate import LAMBDA_HIGH, LAMBDA_LOW

ROUNDINGS = range(64, 129, 4)  # dead zones tried, in 1/256 of a step
VALUES = np.arange(-128, 128, dtype=np.int8)
Histogram = npt.NDArray[np.int64]


def histogram(latents: Iterable[npt.NDArray[np.int8]], channels: int) -> Histogram:
    """Count every channel's latent values, int64 [C, 256] from -128 to 127, over maps int8 [h, w, C]."""
    total = np.zeros((channels, 256), np.int64)
    for one in latents:
        index = one.reshape(-1, channels).astype(np.int64) + 128 + 256 * np.arange(channels)
        total += np.bincount(index.reshape(-1), minlength=256 * channels).reshape(channels, 256)
    return total


def integer_steps(steps: npt.NDArray[np.float64], unit: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    """Return trained steps [101, C] in the float encoder's units as sixteenths of an int8 latent unit.

    `unit` [C] is what one int8 latent unit times 128 is worth.
    """
    sixteenths = np.round(steps / unit * 128 * rate.STEP_UNIT)
    return np.clip(sixteenths, rate.STEP_UNIT, 65535).astype(np.uint16)


def _symbol_counts(
    counts: Histogram, steps: npt.NDArray[np.uint16], rounding: int
) -> npt.NDArray[np.float64]:
    """Counts of each symbol from -128 to 128, float64 [C, 257]."""
    channels = len(counts)
    symbols = rate.quantise(np.repeat(VALUES[:, None], channels, axis=1), steps, rounding)  # [256, C]
    out = np.zeros((channels, 257))
    np.add.at(out, (np.arange(channels)[None, :].repeat(256, 0), symbols + 128), counts.T)
    return out


def fit_rounding(
    counts: Histogram, steps: npt.NDArray[np.uint16], unit: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint8]:
    """Return the rounding of each quality, uint8 [101], that minimises bits + lambda * error in latent space."""
    values = VALUES.astype(np.float64)[:, None]
    share = counts / counts.sum(axis=1, keepdims=True)
    chosen = np.zeros(QUALITIES, np.uint8)
    for quality in range(QUALITIES):
        lam = LAMBDA_LOW * (LAMBDA_HIGH / LAMBDA_LOW) ** (quality / (QUALITIES - 1))
        best = np.inf
        for rounding in ROUNDINGS:
            symbols = rate.quantise(np.repeat(VALUES[:, None], len(counts), 1), steps[quality], rounding)
            error = (values - symbols * (steps[quality] / rate.STEP_UNIT)) * unit / 128  # [256, C]
            distortion = float((np.square(error) * share.T).sum()) / 768  # orthonormal over 16x16x3
            p = _symbol_counts(counts, steps[quality], rounding)
            p /= p.sum(axis=1, keepdims=True)
            bits = float(-(p * np.log2(np.maximum(p, 1e-12))).sum()) / 256
            cost = bits + lam * 255**2 * distortion
            if cost < best:
                best, chosen[quality] = cost, rounding
    return chosen
