"""The measure of seams."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.validate.seams import near_borders, seam_ratio


def test_pixels_near_inner_borders() -> None:
    assert np.flatnonzero(near_borders(20, 8, 0, reach=1)).tolist() == [7, 8, 15, 16]
    assert np.flatnonzero(near_borders(20, 8, 4, reach=1)).tolist() == [3, 4, 11, 12]


def test_even_error_has_ratio_one_and_doubled_error_at_borders_four() -> None:
    original = np.full((128, 128, 3), 100, np.uint8)
    even = original + 2
    assert seam_ratio([original], [even], 64) == pytest.approx(1)
    seamed = even.copy()
    seamed[56:72] += 2
    seamed[:, 56:72] = 104
    assert seam_ratio([original], [seamed], 64) > 2.5


def test_a_picture_within_one_tile_has_no_seams_to_measure() -> None:
    one = np.zeros((60, 60, 3), np.uint8)
    with pytest.raises(ValueError, match="no picture is larger than a tile of 64 pixels"):
        seam_ratio([one], [one + 1], 64)
