"""Integer steps, and a dead zone that follows what bits and errors cost."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.train.steps import CANDIDATES, FACTORS, fit_rounding, fit_steps, integer_steps


def test_steps_are_sixteenths_of_a_latent_unit() -> None:
    unit = np.array([1.0, 2.0, 4.0])  # 128 latent units are worth so much
    found = integer_steps(np.array([[0.5, 0.5, 0.5]]), unit)
    assert found.tolist() == [[1024, 512, 256]]


def test_steps_stay_in_range() -> None:
    assert integer_steps(np.array([[1e-6, 1e6]]), np.ones(2)).tolist() == [[16, 65535]]


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

    found = fit_rounding(maps, [np.zeros((128, 128, 3), np.uint8)], steps, decode)
    assert found.shape == (101,)
    assert set(found.tolist()) == {expected}


def test_steps_of_a_group_grow_where_its_errors_are_free() -> None:
    rng = np.random.default_rng(3)
    maps = [np.clip(rng.laplace(0, 12, (8, 8, 4)), -128, 127).astype(np.int8)]
    steps = np.full((101, 4), 16 * 20, np.uint16)

    def decode(values: np.ndarray, quality: int) -> np.ndarray:
        off = np.abs(values / 16 - maps[0])[..., :2].mean()  # only the first two channels are seen
        return np.full((128, 128, 3), min(255, 20 * off), np.uint8)

    groups = [np.array([0, 1]), np.array([2, 3])]
    found = fit_steps(maps, [np.zeros((128, 128, 3), np.uint8)], steps, groups, decode)
    assert (found[:, 2:] == round(320 * max(FACTORS))).all()
    assert (found[:, :2] < found[:, 2:]).all()
