"""Pictures that streams refer to and the receiver misses: asked for, sent again, or told to be lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.link.conftest import stream_of
from tests.link.hostile import Speaker

from heliograph.errors import SpoolError
from heliograph.link.events import Log
from heliograph.link.simulate.line import Faults, Line, run
from heliograph.link.transfer.again import MAX_LOST, Again
from heliograph.link.transfer.receiver import ASK_AGAIN, LOOK, MAX_WANTED, Receiver
from heliograph.link.transfer.sender import Sender
from heliograph.link.transfer.store import Store
from heliograph.link.wire.messages import Lost, Ping, Want

KEY = bytes(range(32))
PICTURE, OTHER = bytes(range(8)), bytes(range(8, 16))
NAME = f"00000001-{PICTURE.hex()}.helio"
Make = Callable[..., Any]


def lines(faults: Faults | None = None) -> tuple[Line, Line]:
    return Line(460800, seed=1, faults=faults), Line(460800, seed=2, faults=faults)


@pytest.mark.parametrize("key", [None, KEY])
def test_a_missing_picture_comes_again_whatever_the_line_does(
    key: bytes | None, tmp_path: Path, make_spool: Make
) -> None:
    missed, spool = stream_of(77), make_spool(3)
    spool.pictures[PICTURE] = NAME, missed
    path = tmp_path / "cam" / NAME
    lacks = lambda device: [PICTURE] if device == "cam" and not path.exists() else []  # noqa: E731
    sender, receiver = Sender(spool, "cam", key=key), Receiver(Store(tmp_path), key=key, lacks=lacks)
    faults = Faults(bit_error=2e-5)
    run((sender, receiver), lines(faults), until=300, is_over=lambda now: path.exists() and not spool.streams)
    assert path.read_bytes() == missed
    assert len(list((tmp_path / "cam").glob("*.helio"))) == 4
    assert spool.forgotten == []
    told = [event.what for event in sender.take_events()]
    assert told.count("wanted") == 1  # however often it was asked for
    assert "lost" not in told


def test_what_is_not_there_any_more_is_lost_and_not_asked_for_again(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(1)
    sender, receiver = Sender(spool, "cam"), Receiver(Store(tmp_path), lacks=lambda device: [PICTURE])
    run((sender, receiver), lines(), until=5 * ASK_AGAIN, is_over=lambda now: False)
    assert spool.forgotten == [PICTURE]
    for end in (sender, receiver):
        events = [event for event in end.take_events() if event.what == "lost"]
        assert [event.details["picture"] for event in events] == [PICTURE.hex()]


def test_what_went_again_in_vain_is_lost(make_spool: Make) -> None:
    spool = make_spool(1)
    spool.pictures[PICTURE] = NAME, stream_of(7)
    again = Again(spool, Log())
    for _ in range(3):
        again.want(PICTURE, 0.0)
    assert (NAME in spool.streams, spool.forgotten) == (True, [])
    spool.remove(NAME)
    again.want(PICTURE, 60.0)  # perhaps before it was decoded
    assert (spool.names() == [NAME], spool.forgotten, list(again.lost)) == (False, [], [])
    again.want(PICTURE, 120.0)
    again.want(PICTURE, 180.0)
    assert (NAME in spool.streams, list(again.lost)) == (False, [PICTURE])
    assert set(spool.forgotten) == {PICTURE}


def test_a_spool_that_fails_and_a_flood_of_wants_end_nothing(
    make_spool: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, log = make_spool(1), Log()
    again = Again(spool, log)
    for number in range(10_000):
        again.want(number.to_bytes(8, "big"), 0.0)
    assert len(again.lost) == MAX_LOST
    assert len(log.take()) <= 16

    def fail(picture_id: bytes) -> str | None:
        raise SpoolError("cannot write the spool: the disk is full; free some space")

    monkeypatch.setattr(spool, "again", fail)
    again.want(OTHER, 100.0)
    assert [event.details["reason"][:25] for event in log.take()] == ["cannot write the spool: t"]


def test_a_receiver_asks_seldom_and_for_so_many(tmp_path: Path) -> None:
    wanted = [number.to_bytes(8, "big") for number in range(MAX_WANTED + 10)]
    receiver = Receiver(Store(tmp_path), lacks=lambda device: wanted)
    speaker = Speaker(receiver, "cam")
    speaker.say(Ping())
    heard = [message for message in speaker.hear() if isinstance(message, Want)]
    assert [message.picture_id for message in heard] == wanted[:MAX_WANTED]
    speaker.say(Lost(wanted[0]), Lost(OTHER))
    assert not [m for m in speaker.hear() if isinstance(m, Want)]
    speaker.now += ASK_AGAIN + LOOK
    heard = [message for message in speaker.hear() if isinstance(message, Want)]
    assert [message.picture_id for message in heard] == wanted[1:MAX_WANTED]


def test_a_receiver_that_decodes_nothing_asks_for_nothing(tmp_path: Path) -> None:
    receiver = Receiver(Store(tmp_path))
    speaker = Speaker(receiver, "cam")
    speaker.say(Ping())
    speaker.now += 1000
    assert not [m for m in speaker.hear() if isinstance(m, Want)]
