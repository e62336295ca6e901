"""Rate–distortion curves and the Bjøntegaard differences between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator


@dataclass(frozen=True)
class Point:
    """One operating point: bits per pixel and quality in dB, means over a set of pictures."""

    bpp: float
    db: float


@dataclass(frozen=True)
class Difference:
    """What one curve gains over another, and where both have values.

    Attributes:
        bd_rate: mean difference of rate at equal quality; -0.5 is half the bits.
        from_db, to_db: the qualities it was taken over.
        bd_psnr: mean difference of quality at equal rate, in dB; None where the rates do not overlap.
        from_bpp, to_bpp: the rates it was taken over.
    """

    bd_rate: float
    from_db: float
    to_db: float
    bd_psnr: float | None
    from_bpp: float | None
    to_bpp: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Return the numbers by name."""
        return asdict(self)


def _increasing(curve: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
    """Quality and log rate, sorted, keeping only points that improve on every cheaper one."""
    kept: list[Point] = []
    for point in sorted(curve, key=lambda p: p.bpp):
        if not kept or (point.db > kept[-1].db and point.bpp > kept[-1].bpp):
            kept.append(point)
    if len(kept) < 4:
        raise ValueError(f"a curve needs at least 4 points of increasing quality, got {len(kept)}")
    return np.array([p.db for p in kept]), np.log(np.array([p.bpp for p in kept]))


def _mean_difference(
    anchor: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], unit: str
) -> tuple[float, float, float]:
    """Mean over the common abscissae of test - anchor, and those abscissae."""
    (xa, ya), (xt, yt) = anchor, test
    low, high = max(xa[0], xt[0]), min(xa[-1], xt[-1])
    if low >= high:
        raise ValueError(
            f"curves do not overlap: {xa[0]:.2f}..{xa[-1]:.2f} {unit} and {xt[0]:.2f}..{xt[-1]:.2f} {unit}"
        )
    difference = PchipInterpolator(xt, yt).integrate(low, high) - PchipInterpolator(xa, ya).integrate(
        low, high
    )
    return float(difference / (high - low)), float(low), float(high)


def bd_rate(anchor: Sequence[Point], test: Sequence[Point]) -> tuple[float, tuple[float, float]]:
    """Return the mean rate difference of `test` against `anchor` at equal quality, and the overlap in dB.

    Bjøntegaard 2001 (VCEG-M33) with piecewise cubic Hermite interpolation of log rate; -0.5 means half the bits.

    Raises:
        ValueError: fewer than 4 points of increasing quality, or no overlap.
    """
    mean, low, high = _mean_difference(_increasing(anchor), _increasing(test), "dB")
    return float(np.exp(mean) - 1), (low, high)


def bd_psnr(anchor: Sequence[Point], test: Sequence[Point]) -> tuple[float, tuple[float, float]]:
    """Return the mean quality difference in dB at equal log rate, and the overlap in bits per pixel.

    Raises:
        ValueError: as `bd_rate`.
    """
    (qa, ra), (qt, rt) = _increasing(anchor), _increasing(test)
    mean, low, high = _mean_difference((ra, qa), (rt, qt), "log bits per pixel")
    return mean, (float(np.exp(low)), float(np.exp(high)))


def compare(anchor: Sequence[Point], test: Sequence[Point]) -> Difference:
    """Return both differences with their overlaps; ValueError where there is no BD-rate."""
    rate, (low, high) = bd_rate(anchor, test)
    try:
        gain, (first, last) = bd_psnr(anchor, test)
    except ValueError:
        return Difference(rate, low, high, None, None, None)
    return Difference(rate, low, high, gain, first, last)
