"""The Bjøntegaard difference on curves whose answer is known."""

from __future__ import annotations

import pytest

from heliograph.validate.curves import Point, bd_rate

ANCHOR = [Point(0.1, 28), Point(0.2, 31), Point(0.4, 34), Point(0.8, 37)]


def test_a_curve_against_itself_is_zero() -> None:
    assert bd_rate(ANCHOR, ANCHOR)[0] == pytest.approx(0)


def test_half_the_bits_everywhere_is_minus_half() -> None:
    half = [Point(p.bpp / 2, p.db) for p in ANCHOR]
    difference, overlap = bd_rate(ANCHOR, half)
    assert difference == pytest.approx(-0.5)
    assert overlap == (28, 37)


def test_curves_that_do_not_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="curves do not overlap"):
        bd_rate(ANCHOR, [Point(p.bpp, p.db + 20) for p in ANCHOR])


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 points"):
        bd_rate(ANCHOR, ANCHOR[:3])
