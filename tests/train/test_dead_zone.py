"""A dead zone that follows what bits and errors cost."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.train.dead_zone import CANDIDATES, fit_rounding


@pytest.mark.parametrize(("error", "expected"), [(0.0, min(CANDIDATES)), (20.0, 128)])
def test_rounding_goes_down_where_errors_are_free_and_to_nearest_where_they_are_all(
    error: float, expected: int
) -> None:
    rng = np.random.default_rng(3)
    maps = [np.clip(rng.laplace(0, 12, (8, 8, 4)), -128, 127).astype(np.int8)]
    steps = np.full((101, 4), 16 * 20, np.uint16)

    def decode(values: np.ndarray, quality: int) -> np.ndarray:
        off = np.abs(values / 16 - maps[0]).mean()  # grows with the dead zone
        return np.full((128, 128, 3), min(255, off * error), np.uint8)

    rounding = fit_rounding(maps, [np.zeros((128, 128, 3), np.uint8)], steps, decode)
    assert rounding.shape == (101,)
    assert set(rounding.tolist()) == {expected}
