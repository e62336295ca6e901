"""Ticks and waits."""

from __future__ import annotations

import os
import signal
import threading
import time

from heliograph.device.schedule import Schedule, Stop


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


def test_a_signal_ends_a_wait_and_is_remembered() -> None:
    before = signal.getsignal(signal.SIGTERM)
    looks = []
    with Stop(lambda: looks.append(1)) as stop:
        assert not stop.wait(0)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        began = time.monotonic()
        assert stop.wait(60)
        assert time.monotonic() - began < 30
        assert stop.requested
        assert stop.wait(60)
        os.kill(os.getpid(), signal.SIGINT)  # a second one does no harm
        assert stop.wait(0)
    assert looks
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_look_is_taken_again_and_again() -> None:
    looks = []
    with Stop(lambda: looks.append(time.monotonic())) as stop:
        assert not stop.wait(1.3)
    assert len(looks) == 3
