"""Full disks, quotas and many devices: what has no room is refused and waits, and the receiver lives on."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.link.hostile import Speaker
from tests.link.one_way_frames import frames_of

from heliograph.link.one_way.receiver import OneWayReceiver
from heliograph.link.one_way.sender import OneWaySender
from heliograph.link.simulate.line import Line, run
from heliograph.link.transfer import quota
from heliograph.link.transfer.quota import Quotas
from heliograph.link.transfer.receiver import Receiver
from heliograph.link.transfer.sender import Sender
from heliograph.link.transfer.store import Store
from heliograph.link.wire.messages import REJECTED_NOW, Announce, Data, Done, Have, Reject
from heliograph.packets.numbers import PictureNumbers

Make = Callable[..., Any]
BLOCK = 4096  # bytes that a file system gives at once
WHOLE = bytes(range(256)) * 40
DIGEST = hashlib.sha256(WHOLE).digest()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds by which folders are measured again."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def small_disk(mount_disk: Callable[[int], Path]) -> Path:
    """A file system of 256 KiB."""
    return mount_disk(256)


def lines() -> tuple[Line, Line]:
    return Line(460800, seed=1), Line(460800, seed=2)


def put(speaker: Speaker, number: int, name: str, whole: bytes = WHOLE) -> list[object]:
    speaker.say(Announce(number, len(whole), hashlib.sha256(whole).digest(), name))
    for at in range(0, len(whole), 1400):
        speaker.say(Data(number, at, whole[at : at + 1400]))
    return list(speaker.hear())


def test_devices_are_as_many_as_allowed_and_none_gets_a_folder_for_words(tmp_path: Path) -> None:
    receiver = Receiver(Store(tmp_path, Quotas(devices=3)))
    for n in range(50):
        Speaker(receiver, f"talker-{n}").say(Announce(1, 9, DIGEST, "a.helio"))
    assert not list(tmp_path.iterdir())
    for n in range(50):
        heard = put(Speaker(receiver, f"cam-{n}"), 1, "a.helio")
        assert isinstance(heard[-1], Done) if n < 3 else heard == [Reject(1, REJECTED_NOW)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cam-0", "cam-1", "cam-2"]
    assert isinstance(put(Speaker(receiver, "cam-1"), 1, "b.helio")[-1], Done)


def test_a_folder_that_was_made_beforehand_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    receiver = Receiver(Store(tmp_path, Quotas(devices=2)))
    heard = [put(Speaker(receiver, f"stranger-{n}"), 1, "a.helio")[-1] for n in range(2)]
    assert isinstance(heard[0], Done)
    assert heard[1] == Reject(1, REJECTED_NOW)
    assert isinstance(put(Speaker(receiver, "mine"), 1, "a.helio")[-1], Done)


def test_one_way_devices_too(tmp_path: Path) -> None:
    receiver = OneWayReceiver(Store(tmp_path, Quotas(devices=3)))
    for n in range(50):
        for frame in frames_of(f"cam-{n}", "a.helio", WHOLE[:900], n):
            receiver.receive(frame, float(n))
        receiver.close()
    assert sorted(path.name for path in tmp_path.glob("cam*")) == ["cam-0", "cam-1", "cam-2"]


def test_a_device_has_its_quota_and_others_have_theirs(tmp_path: Path, clock: list[float]) -> None:
    receiver = Receiver(Store(tmp_path, Quotas(device=10 * BLOCK, total=14 * BLOCK)))
    speaker = Speaker(receiver)
    for n in range(3):  # three blocks each, and one for what was received
        assert isinstance(put(speaker, n, f"{n}.helio")[-1], Done)
    assert put(speaker, 3, "3.helio") == [Reject(3, REJECTED_NOW)]
    other = Speaker(receiver, "other")
    assert isinstance(put(other, 1, "1.helio")[-1], Done)
    assert put(other, 2, "2.helio") == [Reject(2, REJECTED_NOW)]  # all together
    (tmp_path / "cam/0.helio").unlink()
    assert put(other, 3, "2.helio") == [Reject(3, REJECTED_NOW)]  # measured not long ago
    clock[0] += quota.MEASURE_AGAIN
    assert isinstance(put(other, 4, "2.helio")[-1], Done)


def test_what_is_held_is_measured_after_a_restart(tmp_path: Path) -> None:
    for is_done in (True, False):
        store = Store(tmp_path, Quotas(device=6 * BLOCK))
        heard = put(Speaker(Receiver(store)), 1, f"{is_done}.helio")[-1]
        assert isinstance(heard, Done) == is_done
        store.close()


def test_scattered_bytes_count_with_the_blocks_they_take(tmp_path: Path) -> None:
    receiver = Receiver(Store(tmp_path, Quotas(device=110 * BLOCK)))
    speaker = Speaker(receiver)
    size = 99 * BLOCK
    speaker.say(Announce(1, 50 * BLOCK, DIGEST, "1.helio"))
    speaker.say(Announce(2, 50 * BLOCK, bytes(32), "2.helio"), Announce(3, size, bytes([1]) * 32, "3.helio"))
    for at in range(0, 50):
        for number in (1, 2, 3):
            speaker.say(Data(number, at * BLOCK, b"x"))
        speaker.hear()
    used = sum(path.stat().st_blocks * 512 for path in tmp_path.rglob("*") if path.is_file())
    assert 90 * BLOCK < used <= 110 * BLOCK
    assert (tmp_path / "cam/1.helio.partial").exists()
    assert not (tmp_path / "cam/3.helio.partial").exists()  # the youngest was given up for the others


def test_a_full_receiver_takes_what_fits_and_the_rest_when_there_is_room(
    tmp_path: Path, make_spool: Make, clock: list[float]
) -> None:
    spool = make_spool(12, (3000, 4000, 9000))  # four blocks each
    sent = dict(spool.streams)
    sender, receiver = Sender(spool, "cam"), Receiver(Store(tmp_path, Quotas(device=22 * BLOCK)))
    now = run((sender, receiver), lines(), until=60)
    whole = {path.name: path.read_bytes() for path in tmp_path.glob("cam/*.helio")}
    assert 3 <= len(whole) <= 5
    assert sorted(whole) == sorted(sent)[: len(whole)]  # the oldest
    assert set(spool.streams) == set(sent) - set(whole)
    assert sender.is_paused
    assert {event.what for event in sender.take_events()} == {"connected", "sent", "paused"}
    assert "full" in {event.what for event in receiver.take_events()}
    while spool.streams:
        for path in tmp_path.glob("cam/*.helio"):
            whole[path.name] = path.read_bytes()
            path.unlink()
        clock[0] += quota.MEASURE_AGAIN
        assert now < 3000
        now = run(
            (sender, receiver), lines(), start=now, until=now + 400, is_over=lambda at: not spool.streams
        )
    for path in tmp_path.glob("cam/*.helio"):
        whole[path.name] = path.read_bytes()
    assert whole == sent


def test_a_full_disk_refuses_what_comes_and_goes_on_later(small_disk: Path, make_spool: Make) -> None:
    spool = make_spool(12, (9000, 9000, 9000))
    sent = dict(spool.streams)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(150_000))
    store = Store(small_disk / "out")
    sender, receiver = Sender(spool, "cam"), Receiver(store)
    now = run((sender, receiver), lines(), until=60)
    assert 9 <= len(spool.streams) <= 11
    told = [event for event in receiver.take_events() if event.what == "full"]
    assert "No space left on device; free some space" in told[0].details["reason"]
    ballast.unlink()
    now = run((sender, receiver), lines(), start=now, until=now + 400)
    store.close()
    assert len(spool.streams) < 9
    whole = {path.name: path for path in small_disk.glob("out/cam/*.helio")}
    for name, path in whole.items():
        assert path.read_bytes() == sent[name]
    assert set(spool.streams) == set(sent) - set(whole)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_the_disk_may_fill_at_any_write(
    tmp_path: Path, make_spool: Make, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Each write of a transfer fails once; nothing is lost, and nothing is confirmed that is not there."""
    pwrite, write = os.pwrite, os.write
    failing, count = -1, 0

    def may_fail(real: Callable[..., int]) -> Callable[..., int]:
        def call(descriptor: int, data: bytes, *where: int) -> int:
            nonlocal count
            count += 1
            if count == failing:
                real(descriptor, bytes(data[: len(data) // 2]), *where)
                raise OSError(number, "no room")
            return real(descriptor, data, *where)

        return call

    monkeypatch.setattr("os.pwrite", may_fail(pwrite))
    monkeypatch.setattr("os.write", may_fail(write))
    while failing < 20:
        failing, count = failing + 1, 0
        spool, folder = make_spool(2, (800, 900), seed=failing), tmp_path / str(failing)
        sent = dict(spool.streams)
        store = Store(folder)
        ends = Sender(spool, "cam"), Receiver(store)
        waiting = spool.streams
        run(ends, lines(), until=600, is_over=lambda at, waiting=waiting: not waiting)  # type: ignore[misc]
        assert {path.name: path.read_bytes() for path in folder.glob("cam/*.helio")} == sent
        store.close()
        for name in sent:
            (folder / "cam" / name).unlink()
        shelf = Store(folder).shelf("cam")
        assert shelf is not None
        assert sum(shelf.holds(name) is not None for name in sent) >= 1
        shelf.close()
    assert count < failing  # all writes had their turn


@pytest.mark.parametrize("key", [None, bytes(32)])
def test_one_way_what_comes_while_the_disk_is_full_waits(
    tmp_path: Path, make_spool: Make, monkeypatch: pytest.MonkeyPatch, key: bytes | None
) -> None:
    pytest.importorskip("cryptography")
    spool = make_spool(3)
    sent = dict(spool.streams)
    numbers = PictureNumbers(tmp_path / "numbers")
    sender = OneWaySender(spool, "cam", numbers=numbers, key=key, rate=1e9, spares=False)
    receiver = OneWayReceiver(Store(tmp_path / "out"), key=key)
    sync = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no room")

    now = 0.0
    while not sender.is_empty:
        now += 0.1
        monkeypatch.setattr("os.fsync", sync)  # the sender has a disk of its own
        frame = sender.send(now)
        receiver.receive(frame, now)
        monkeypatch.setattr("os.fsync", full if now < 2 else sync)
        receiver.send(now)
    assert now > 2
    monkeypatch.setattr("os.fsync", sync)
    receiver.send(now + 1)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("out/cam/*.helio")} == sent
    assert "full" in [event.what for event in receiver.take_events()]


def test_what_a_device_or_a_picture_is_called_may_be_there_already(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(b"mine")
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam/a.helio.partial").symlink_to(tmp_path / "notes")
    (tmp_path / "cam/b.helio.partial").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/.received").symlink_to(tmp_path / "notes")
    receiver = Receiver(Store(tmp_path))
    for device, name in (("notes", "a.helio"), ("cam", "a.helio"), ("cam", "b.helio"), ("other", "a.helio")):
        assert put(Speaker(receiver, device), 1, name)[-1] == Reject(1, REJECTED_NOW)
    assert isinstance(put(Speaker(receiver), 1, "c.helio")[-1], Done)
    one_way = OneWayReceiver(Store(tmp_path))
    for frame in frames_of("notes", "a.helio", WHOLE[:100], 1):
        one_way.receive(frame, 0.0)
    one_way.close()
    assert [event.what for event in one_way.take_events()] == ["full"]
    assert (tmp_path / "notes").read_bytes() == b"mine"


def test_a_folder_in_use_elsewhere_stops_its_device_only(tmp_path: Path) -> None:
    first, second = Receiver(Store(tmp_path)), Receiver(Store(tmp_path))
    assert isinstance(put(Speaker(first), 1, "a.helio")[-1], Done)
    assert put(Speaker(second), 1, "b.helio") == [Reject(1, REJECTED_NOW)]
    assert isinstance(put(Speaker(second, "other"), 1, "b.helio")[-1], Done)
    first._store.close()
    assert put(Speaker(second), 2, "b.helio")[0] == Have(2, ())
