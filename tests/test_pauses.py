"""Pauses after failures: they grow, each thing has its own, and success forgets them."""

from __future__ import annotations

from heliograph.pauses import Pauses


def test_pauses_double_up_to_the_last() -> None:
    now = 0.0
    pauses = Pauses(10, 35, lambda: now)
    assert pauses.is_due("a")
    assert [pauses.failed("a") for _ in range(4)] == [10, 20, 35, 35]
    assert pauses.has("a")
    now = 34.9
    assert (pauses.is_due("a"), pauses.is_due("b")) == (False, True)
    now = 35.0
    assert pauses.is_due("a")


def test_what_is_forgotten_begins_anew() -> None:
    pauses = Pauses(10, 1000)
    for key in "abc":
        pauses.failed(key)
    pauses.forget("a")
    pauses.keep({"b"})
    assert [pauses.has(key) for key in "abc"] == [False, True, False]
    assert [pauses.failed(key) for key in "abc"] == [10, 20, 10]


def test_a_first_pause_may_be_longer_than_the_longest() -> None:
    pauses = Pauses(10, 60)
    assert pauses.failed("a", at_least=300) == 300
    assert pauses.failed("a") == 60
