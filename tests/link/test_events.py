"""Events: what a line can cause is told seldom, and nothing that was left out is hidden."""

from __future__ import annotations

from pathlib import Path

from tests.link.hostile import Speaker
from tests.link.one_way_frames import frames_of

from heliograph.link.events import MOST, SELDOM, Log
from heliograph.link.one_way.receiver import OneWayReceiver
from heliograph.link.transfer.receiver import Receiver
from heliograph.link.transfer.store import Store
from heliograph.link.wire.frames import FrameCoder
from heliograph.link.wire.session import hello_body


def test_the_same_is_told_once_in_a_while_with_how_often() -> None:
    log = Log()
    for n in range(25):
        log.tell_seldom(float(n), "noise", reason="not COBS")
    assert [event.details for event in log.take()] == [
        {"reason": "not COBS", "times": 1},
        {"reason": "not COBS", "times": 10},
        {"reason": "not COBS", "times": 10},
    ]


def test_kinds_do_not_silence_each_other_and_results_are_always_told() -> None:
    log = Log()
    for n in range(1000):
        log.tell_seldom(0.0, "suspect", reason=str(n))
        log.tell("received", name=str(n))
    log.tell_seldom(0.0, "noise", reason="not COBS")
    told = [event.what for event in log.take()]
    assert (told.count("suspect"), told.count("received"), told.count("noise")) == (MOST, 1000, 1)


def test_what_was_too_much_is_counted() -> None:
    log = Log()
    for n in range(1000):
        log.tell_seldom(n / 100, "suspect", reason=str(n))
        assert len(log._kinds["suspect"].counts) <= MOST
    log.tell_seldom(2 * SELDOM, "suspect", reason="at last")
    counted = [event.details["times"] + event.details.get("untold", 0) for event in log.take()]
    waiting = sum(log._kinds["suspect"].counts.values())
    assert len(counted) == MOST + 1
    assert sum(counted) + waiting == 1001
    assert waiting < MOST


def test_a_flood_of_names_is_few_lines(tmp_path: Path) -> None:
    receiver, coder = Receiver(Store(tmp_path)), FrameCoder()
    for n in range(300):
        hello = hello_body(f"cam-{n}", bytes(16), bytes(32))
        receiver.receive(coder.encode(hello), 0.0)  # refused: it has a key
        Speaker(receiver, f"cam-{n}").say_body(b"\x10")  # a session, and nonsense in it
    assert len(receiver.take_events()) <= 3 * MOST
    one_way = OneWayReceiver(Store(tmp_path))
    for n in range(300):
        one_way.receive(frames_of("cam", f"{n}.helio", bytes(200), n)[0], 0.0)
    one_way.close()
    assert len(one_way.take_events()) <= MOST
