"""Ticks."""

from __future__ import annotations

from heliograph.device.schedule import Schedule


def test_ticks_do_not_drift_and_missed_ones_are_left_out() -> None:
    now = [100.0]
    schedule = Schedule(10.0, lambda: now[0])
    for took, expected in ((0.0, 10.0), (3.0, 7.0), (9.75, 0.25), (25.0, 5.0), (10.0, 10.0)):
        now[0] += took
        wait = schedule.until_next()
        assert wait == expected
        now[0] += wait
        assert now[0] % 10 == 0


def test_asking_again_does_not_move_the_tick() -> None:
    now = [0.0]
    schedule = Schedule(10.0, lambda: now[0])
    now[0] = 4.0
    assert [schedule.until_next() for _ in range(3)] == [6.0] * 3


def test_without_a_period_there_is_no_wait() -> None:
    assert Schedule(0.0).until_next() == 0
