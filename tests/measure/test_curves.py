"""The Bjøntegaard differences on curves whose answer is known."""

from __future__ import annotations

import pytest

from heliograph.measure.curves import Point, bd_psnr, bd_rate, compare

ANCHOR = [Point(0.1, 28), Point(0.2, 31), Point(0.4, 34), Point(0.8, 37)]


def test_a_curve_against_itself_is_zero() -> None:
    assert bd_rate(ANCHOR, ANCHOR)[0] == pytest.approx(0)
    assert bd_psnr(ANCHOR, ANCHOR)[0] == pytest.approx(0)


def test_half_the_bits_everywhere_is_minus_half() -> None:
    half = [Point(p.bpp / 2, p.db) for p in ANCHOR]
    difference, overlap = bd_rate(ANCHOR, half)
    assert difference == pytest.approx(-0.5)
    assert overlap == (28, 37)


def test_half_the_bits_on_a_curve_of_3_db_an_octave_is_3_db() -> None:
    half = [Point(p.bpp / 2, p.db) for p in ANCHOR]
    gain, overlap = bd_psnr(ANCHOR, half)
    assert gain == pytest.approx(3)
    assert overlap == pytest.approx((0.1, 0.4))


def test_two_db_more_everywhere_is_two_db() -> None:
    better = [Point(p.bpp, p.db + 2) for p in ANCHOR]
    found = compare(ANCHOR, better)
    assert found.bd_psnr == pytest.approx(2)
    assert found.bd_rate == pytest.approx(2 ** (-2 / 3) - 1)
    assert (found.from_db, found.to_db) == (30, 37)
    assert (found.from_bpp, found.to_bpp) == pytest.approx((0.1, 0.8))


def test_points_that_cost_more_for_less_are_left_out() -> None:
    assert bd_rate(ANCHOR, [*ANCHOR, Point(0.5, 33)])[0] == pytest.approx(0)


def test_rates_that_do_not_overlap_leave_no_bd_psnr() -> None:
    cheap = [Point(p.bpp / 100, p.db) for p in ANCHOR]
    found = compare(ANCHOR, cheap)
    assert found.bd_rate == pytest.approx(-0.99)
    assert found.bd_psnr is None


def test_curves_that_do_not_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="curves do not overlap"):
        bd_rate(ANCHOR, [Point(p.bpp, p.db + 20) for p in ANCHOR])


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 points"):
        bd_rate(ANCHOR, ANCHOR[:3])
