"""Concealment of lost positions."""

from __future__ import annotations

import numpy as np

from heliograph.codec.conceal import fill


def test_a_gap_is_bridged_by_distance() -> None:
    values = np.array([[[10], [0], [0], [40]]], np.int16)
    lost = np.array([[False, True, True, False]])
    assert fill(values, lost)[0, :, 0].tolist() == [10, 20, 30, 40]


def test_rows_and_columns_without_anything_known_follow_those_that_have() -> None:
    values = np.zeros((3, 3, 1), np.int16)
    values[0, 0] = 6
    lost = np.ones((3, 3), bool)
    lost[0, 0] = False
    assert (fill(values, lost) == 6).all()


def test_known_positions_stay_and_a_wholly_lost_map_stays_zero() -> None:
    values = np.arange(12, dtype=np.int16).reshape(2, 2, 3)
    assert np.array_equal(fill(values, np.zeros((2, 2), bool)), values)
    assert not fill(np.zeros((2, 2, 3), np.int16), np.ones((2, 2), bool)).any()
