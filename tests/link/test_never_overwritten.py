"""A whole picture stays what it is: another of its name is another picture, however it comes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import pytest
from tests.link.hostile import Speaker
from tests.link.one_way_frames import frames_of

from heliograph.errors import NotNowError
from heliograph.link.one_way.receiver import OneWayReceiver
from heliograph.link.transfer.receiver import Receiver
from heliograph.link.transfer.store import Shelf, Store
from heliograph.link.wire.messages import Announce, Data, Done
from heliograph.link.wire.names import apart, is_stream

FIRST, SECOND = b"the first picture", b"another picture"


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def apart_of(data: bytes, digits: int = 8) -> str:
    return f"a.{sha(data).hex()[:digits]}.helio"


def is_done(heard: object, data: bytes) -> bool:
    return isinstance(heard, Done) and heard.digest == sha(data)


def test_a_confirmed_picture_survives_another_of_its_name(
    tmp_path: Path, whole_files: Callable[[Path], dict[str, bytes]]
) -> None:
    store = Store(tmp_path)
    sender = Speaker(Receiver(store))
    sender.say(Announce(1, len(FIRST), sha(FIRST), "a.helio"), Data(1, 0, FIRST))
    assert is_done(sender.hear()[-1], FIRST)
    sender.say(Announce(2, len(SECOND), sha(SECOND), "a.helio"))
    assert is_done(sender.hear()[0], FIRST)  # what is held under this name
    for _ in range(2):  # it says that this is another, in two sessions
        sender = Speaker(sender.receiver)
        sender.say(Announce(1, len(SECOND), sha(SECOND), "a.helio", another=True), Data(1, 0, SECOND))
        assert is_done(sender.hear()[-1], SECOND)
    for data in (FIRST, SECOND):
        sender.say(Announce(2, len(data), sha(data), "a.helio", another=True))
        assert is_done(sender.hear()[0], data)
    assert whole_files(tmp_path / "cam") == {"a.helio": FIRST, apart_of(SECOND): SECOND}
    store.close()


def test_nor_is_one_that_was_moved_away_taken_for_another(tmp_path: Path) -> None:
    store = Store(tmp_path)
    sender = Speaker(Receiver(store))
    sender.say(Announce(1, len(FIRST), sha(FIRST), "a.helio"), Data(1, 0, FIRST))
    sender.hear()
    (tmp_path / "cam/a.helio").unlink()
    sender.say(Announce(2, len(SECOND), sha(SECOND), "a.helio", another=True), Data(2, 0, SECOND))
    assert is_done(sender.hear()[-1], SECOND)
    assert [path.name for path in tmp_path.glob("cam/*.helio")] == [apart_of(SECOND)]


def test_names_apart_are_legal_and_end_in_the_whole_hash() -> None:
    for name in ("a.helio", "a" * 90 + ".helio"):
        found = list(apart(name, sha(FIRST)))
        assert found[0] == name
        assert len(set(found)) == 5
        assert all(map(is_stream, found))
        assert found[-1].endswith(f".{sha(FIRST).hex()}.helio")


def test_a_name_apart_that_is_taken_is_not_given_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "cam")
    assert shelf.place("a.helio", sha(FIRST)) == "a.helio"
    (shelf.folder / "a.helio").write_bytes(SECOND)
    assert shelf.place("a.helio", sha(SECOND)) == "a.helio"
    assert shelf.place("a.helio", sha(FIRST)) == apart_of(FIRST)
    (shelf.folder / apart_of(FIRST)).write_bytes(b"of the same 8 digits")
    assert shelf.place("a.helio", sha(FIRST)) == apart_of(FIRST, 16)
    (shelf.folder / apart_of(FIRST, 16)).symlink_to("/dev/zero")
    (shelf.folder / apart_of(FIRST, 32)).mkdir()
    assert shelf.place("a.helio", sha(FIRST)) == apart_of(FIRST, 64)
    os.mkfifo(shelf.folder / apart_of(FIRST, 64))
    with pytest.raises(NotNowError, match="all names for it are taken; move them away"):
        shelf.place("a.helio", sha(FIRST))


def test_what_came_meanwhile_is_not_overwritten_at_the_end(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "cam")
    partial = shelf.open("a.helio", len(FIRST), sha(FIRST))
    partial.write(0, FIRST)
    partial.sync()
    (shelf.folder / "a.helio").write_bytes(SECOND)
    with pytest.raises(NotNowError, match="was put there by something else; move it away"):
        shelf.finish(partial)
    assert (shelf.folder / "a.helio").read_bytes() == SECOND


def test_one_way_too(tmp_path: Path, whole_files: Callable[[Path], dict[str, bytes]]) -> None:
    third, thinner = b"a third picture", b"a third"
    named = f"20260101T000000.000000Z-{sha(third).hex()[:8]}.helio"
    receiver = OneWayReceiver(Store(tmp_path))
    for number, (name, data) in enumerate(
        (("a.helio", FIRST), ("a.helio", SECOND), (named, third), (named, thinner))
    ):
        for again in range(2):
            for frame in frames_of("cam", name, data, 2 * number + again):
                receiver.receive(frame, 0.0)
            receiver.close()
    # The name says that the third is the picture itself: a thinner one of it adds nothing.
    assert whole_files(tmp_path / "cam") == {"a.helio": FIRST, apart_of(SECOND): SECOND, named: third}


@pytest.mark.parametrize("is_on_disk", [True, False])
def test_two_pictures_of_one_name_arrive_one_way_at_once(
    tmp_path: Path, whole_files: Callable[[Path], dict[str, bytes]], is_on_disk: bool
) -> None:
    receiver = OneWayReceiver(Store(tmp_path))
    first, second = FIRST * 20, SECOND * 20
    both = [frames_of("cam", "a.helio", data, number) for number, data in enumerate((first, second))]
    for pair in zip_longest(*both, fillvalue=b""):
        for frame in pair:
            receiver.receive(frame, 0.0)
            if is_on_disk:
                receiver.close()
    receiver.close()
    found = whole_files(tmp_path / "cam")
    assert sorted(found.values()) == sorted((first, second))
    assert "a.helio" in found
    assert not list(tmp_path.glob("cam/*.partial"))
