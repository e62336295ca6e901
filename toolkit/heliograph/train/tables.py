"""Fitting the integer tables of a frozen encoder: steps, dead zone and entropy tables from its real latents."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from heliograph.codec import entropy, rate
from heliograph.codec.manifest import NOT_SENT, RateTables
from heliograph.train.rate import LAMBDA_HIGH, LAMBDA_LOW

TABLES = 200
ROUNDINGS = range(64, 129, 4)  # dead zones tried, in 1/256 of a step
_RARE = 5e-5  # a channel with fewer non-zero symbols than this share is left out
VALUES = np.arange(-128, 128, dtype=np.int8)
Histogram = npt.NDArray[np.int64]


def histogram(latents: Iterable[npt.NDArray[np.int8]], channels: int) -> Histogram:
    """Count every channel's latent values, int64 [C, 256] from -128 to 127, over maps int8 [h, w, C]."""
    total = np.zeros((channels, 256), np.int64)
    for one in latents:
        index = one.reshape(-1, channels).astype(np.int64) + 128 + 256 * np.arange(channels)
        total += np.bincount(index.reshape(-1), minlength=256 * channels).reshape(channels, 256)
    return total


def integer_steps(
    steps: npt.NDArray[np.float64], unit: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint16]:
    """Return trained steps [101, C] in the float encoder's units as sixteenths of an int8 latent unit.

    `unit` [C] is what one int8 latent unit times 128 is worth.
    """
    sixteenths = np.round(steps / unit * 128 * rate.STEP_UNIT)
    return np.clip(sixteenths, rate.STEP_UNIT, 65535).astype(np.uint16)


def _token_counts(counts: Histogram, steps: npt.NDArray[np.uint16], rounding: int) -> npt.NDArray[np.float64]:
    """Counts of each zigzagged symbol, float64 [C, MAX_TOKENS]."""
    channels = len(counts)
    symbols = rate.quantise(np.repeat(VALUES[:, None], channels, axis=1), steps, rounding)  # [256, C]
    z = np.minimum(entropy.zigzag(symbols), entropy.MAX_TOKENS - 1)
    out = np.zeros((channels, entropy.MAX_TOKENS))
    np.add.at(out, (np.arange(channels)[None, :].repeat(256, 0), z), counts.T)
    return out


def fit_rounding(
    counts: Histogram, steps: npt.NDArray[np.uint16], unit: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint8]:
    """Return the rounding of each quality, uint8 [101], that minimises bits + lambda * error in latent space."""
    values = VALUES.astype(np.float64)[:, None]
    share = counts / counts.sum(axis=1, keepdims=True)
    chosen = np.zeros(rate.QUALITIES, np.uint8)
    for quality in range(rate.QUALITIES):
        lam = LAMBDA_LOW * (LAMBDA_HIGH / LAMBDA_LOW) ** (quality / (rate.QUALITIES - 1))
        best = np.inf
        for rounding in ROUNDINGS:
            symbols = rate.quantise(np.repeat(VALUES[:, None], len(counts), 1), steps[quality], rounding)
            error = (values - symbols * (steps[quality] / rate.STEP_UNIT)) * unit / 128  # [256, C]
            distortion = float((np.square(error) * share.T).sum()) / 768  # orthonormal over 16x16x3
            p = _token_counts(counts, steps[quality], rounding)
            p /= p.sum(axis=1, keepdims=True)
            bits = float(-(p * np.log2(np.maximum(p, 1e-12))).sum()) / 256
            cost = bits + lam * 255**2 * distortion
            if cost < best:
                best, chosen[quality] = cost, rounding
    return chosen


def _cluster(p: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Group distributions [N, K] so that coding each with its group's mean costs least; return groups [N]."""
    entropy_bits = -(p * np.log2(np.maximum(p, 1e-12))).sum(axis=1)
    order = np.argsort(entropy_bits, kind="stable")
    spread = np.cumsum(weight[order] * (0.05 + entropy_bits[order]))
    group = np.empty(len(p), np.int64)
    group[order] = np.minimum((spread / spread[-1] * TABLES).astype(np.int64), TABLES - 1)
    for _ in range(15):
        mean = np.zeros((TABLES, p.shape[1]))
        np.add.at(mean, group, p * weight[:, None])
        mean /= np.maximum(mean.sum(axis=1, keepdims=True), 1e-12)
        cost = -p @ np.log2(np.maximum(mean, 1e-7)).T  # [N, TABLES]
        group = cost.argmin(axis=1)
    return group


def integer_table(p: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    """Return frequencies summing to entropy.TOTAL for a distribution [K]; rare tail tokens become the escape."""
    share = p / p.sum()
    likely = np.flatnonzero(share * entropy.TOTAL >= 0.5)
    count = min(int(likely[-1]) + 2 if len(likely) else 2, entropy.MAX_TOKENS)
    kept = share[:count].copy()
    kept[-1] += share[count:].sum()
    frequency = np.maximum(1, np.floor(kept * (entropy.TOTAL - count))).astype(np.int64)
    frequency[int(np.argmax(frequency))] += entropy.TOTAL - frequency.sum()
    return frequency.astype(np.uint16)


def fit_tables(
    counts: Histogram, steps: npt.NDArray[np.uint16], rounding: npt.NDArray[np.uint8]
) -> RateTables:
    """Return static tables for every channel and quality, shared where their distributions are close."""
    channels = len(counts)
    tokens = np.concatenate([_token_counts(counts, s, int(r)) for s, r in zip(steps, rounding, strict=True)])
    share = tokens / tokens.sum(axis=1, keepdims=True)  # [101 * C, MAX_TOKENS]
    sent = 1 - share[:, 0] > _RARE
    index = np.full(len(share), NOT_SENT, np.uint8)
    group = _cluster(share[sent], np.ones(int(sent.sum())))
    used, index[sent] = np.unique(group, return_inverse=True)
    frequency = np.zeros((len(used), entropy.MAX_TOKENS), np.uint16)
    for row, number in enumerate(used):
        table = integer_table(share[sent][group == number].mean(axis=0))
        frequency[row, : len(table)] = table
    tables = entropy.Tables(frequency, (frequency > 0).sum(axis=1).astype(np.uint16))
    return RateTables(steps, index.reshape(rate.QUALITIES, channels), rounding, tables)
