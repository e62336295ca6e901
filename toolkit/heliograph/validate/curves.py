"""Rate–distortion curves and the Bjøntegaard difference between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator


@dataclass(frozen=True)
class Point:
    """One operating point: bits per pixel and quality in dB, means over a set of pictures."""

    bpp: float
    db: float


def _increasing(curve: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
    """Quality and log rate, sorted, keeping only points that improve on every cheaper one."""
    kept: list[Point] = []
    for point in sorted(curve, key=lambda p: p.bpp):
        if not kept or point.db > kept[-1].db:
            kept.append(point)
    if len(kept) < 4:
        raise ValueError(f"a curve needs at least 4 points of increasing quality, got {len(kept)}")
    return np.array([p.db for p in kept]), np.log(np.array([p.bpp for p in kept]))


def bd_rate(anchor: Sequence[Point], test: Sequence[Point]) -> tuple[float, tuple[float, float]]:
    """Return the mean rate difference of `test` against `anchor` at equal quality, and the overlap in dB.

    Bjøntegaard 2001 (VCEG-M33) with piecewise cubic Hermite interpolation of log rate; -0.5 means half the bits.
    """
    qa, ra = _increasing(anchor)
    qt, rt = _increasing(test)
    low, high = max(qa[0], qt[0]), min(qa[-1], qt[-1])
    if low >= high:
        raise ValueError(
            f"curves do not overlap: {qa[0]:.2f}..{qa[-1]:.2f} dB and {qt[0]:.2f}..{qt[-1]:.2f} dB"
        )
    difference = PchipInterpolator(qt, rt).integrate(low, high) - PchipInterpolator(qa, ra).integrate(
        low, high
    )
    return float(np.exp(difference / (high - low)) - 1), (float(low), float(high))
