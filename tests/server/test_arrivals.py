"""The order and the times of what arrives, whatever the clocks of devices and of this machine say."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder
from heliograph.server import catalogue as catalogues
from heliograph.server.arrivals import Arrivals, taken
from heliograph.server.catalogue import Catalogue
from heliograph.server.decoders import Decoder
from heliograph.server.inbox import Inbox
from heliograph.server.live import Live
from heliograph.server.watch import Watch

DAY = 86400.0


@pytest.fixture(scope="module")
def data(encoder: Encoder, paint: Callable[[int, int], npt.NDArray[np.uint8]]) -> bytes:
    return encoder.encode(paint(97, 61), Rate(quality=40))


def keep(folder: Path, name: str, data: bytes = b"x", *, at: float | None = None) -> Path:
    """Keep a whole stream, of a time of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    if at is not None:
        os.utime(folder / name, (at, at))
    return folder / name


def names(inbox: Inbox) -> list[str]:
    return [stream.name for stream in inbox.look()]


def health(live: Live) -> str:
    while live.step():
        pass
    (told,) = (fields for what, fields in live.since(0)[1] if what == "device")
    return str(told["health"])


def test_the_time_in_a_name_is_the_devices() -> None:
    assert taken("20260101T000001.500000Z-00000001.helio") == 1767225601.5
    assert taken("19700101T000000.000000Z-00000001.helio") == 0.0
    for name in ("yard.helio", "20261301T000000.000000Z-00000001.helio", "20260101-1.helio"):
        assert taken(name) is None


def test_what_was_there_is_in_the_order_of_files_and_what_comes_is_after_it(tmp_path: Path) -> None:
    now = time.time()
    keep(tmp_path / "cam", "old.helio", at=now - 5 * DAY)
    keep(tmp_path / "cam", "older.helio", at=now - 9 * DAY)
    keep(tmp_path / "cam", "ahead.helio", at=now + 300 * DAY)
    keep(tmp_path / "cam", "further.helio", at=now + 400 * DAY)
    inbox = Inbox(tmp_path)
    assert names(inbox) == ["further.helio", "ahead.helio", "old.helio", "older.helio"]
    keep(tmp_path / "cam", "new.helio")
    assert names(inbox)[0] == "new.helio"
    keep(tmp_path / "cam", "older.helio", b"more", at=now + 8 * DAY)
    assert names(inbox)[0] == "older.helio"
    assert all(stream.changed <= time.time() for stream in inbox.look())


def test_only_the_latest_to_arrive_are_looked_at(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, latest=2)
    for n in range(9):
        keep(tmp_path / "cam", f"{n}.helio", at=time.time() + (100 - n) * DAY)
    assert names(inbox) == ["0.helio", "1.helio"]
    keep(tmp_path / "cam", "a.helio")
    assert names(inbox) == ["a.helio", "0.helio"]
    keep(tmp_path / "cam", "b.helio", at=time.time() + DAY)
    assert names(inbox) == ["b.helio", "a.helio"]
    (tmp_path / "cam/a.helio").unlink()
    assert names(inbox) == ["b.helio", "0.helio"]  # what comes back into sight did not come now


def test_a_machine_without_a_clock_shows_what_came_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path / "cam", "old.helio", at=time.time() - 2 * DAY)
    keep(tmp_path / "cam", "older.helio", at=time.time() - 3 * DAY)
    real, start = time.time, time.time()
    shift = 100.0 - start  # it was started anew, in 1970
    monkeypatch.setattr(time, "time", lambda: real() + shift)
    inbox = Inbox(tmp_path)
    assert names(inbox) == ["old.helio", "older.helio"]
    keep(tmp_path / "cam", "new.helio", at=time.time())
    assert names(inbox) == ["new.helio", "old.helio", "older.helio"]
    shift = 0.0  # it has asked for the time
    keep(tmp_path / "cam", "newer.helio", at=time.time())
    assert names(inbox) == ["newer.helio", "new.helio", "old.helio", "older.helio"]


def test_a_clock_that_was_ahead_is_told_of_once_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = time.time
    shift = 1500 * DAY
    monkeypatch.setattr(time, "time", lambda: real() + shift)
    inbox = Inbox(tmp_path)
    keep(tmp_path / "cam", "first.helio", at=time.time())
    assert inbox.look()[0].changed == pytest.approx(time.time(), abs=1)
    keep(tmp_path / "cam", "second.helio", at=time.time())
    before = inbox.look()
    assert [stream.name for stream in before] == ["second.helio", "first.helio"]
    assert caplog.records == []
    shift = 0.0
    keep(tmp_path / "cam", "third.helio")
    with caplog.at_level(logging.WARNING):
        after = inbox.look()
        keep(tmp_path / "cam", "fourth.helio", at=time.time() + 30 * DAY)
        assert names(inbox)[0] == "fourth.helio"
    assert [stream.name for stream in after] == ["third.helio", "second.helio", "first.helio"]
    assert all(abs(stream.changed - time.time()) < 5 for stream in after)
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "files came 1500 days ahead of this machine's clock, which was wrong"
    )


def test_a_clock_of_the_network_may_be_a_little_ahead(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path / "cam", "a.helio", at=time.time() + 1)
    (stream,) = Inbox(tmp_path).look()
    assert stream.changed <= time.time()
    assert caplog.records == []


def test_files_ahead_are_forgotten_when_they_go(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = Arrivals()

    def at(now: float, file: str, seconds: int) -> float:
        monkeypatch.setattr(time, "time", lambda: now)
        monkeypatch.setattr(time, "monotonic", lambda: 1000.0)  # no time between two looks
        arrivals.look()
        return arrivals.of("cam", file, seconds * 10**9)

    assert at(50.0, "a.helio", 60) == 50.0
    assert at(70.0, "a.helio", 60) == 50.0  # as it was seen first
    assert at(40.0, "a.helio", 60) == 40.0
    assert at(80.0, "a.helio", 65) == 65.0  # another
    assert at(70.0, "b.helio", 60) == 60.0
    arrivals.keep("cam", {"b.helio"})
    assert at(70.0, "a.helio", 60) == 60.0


@pytest.mark.parametrize(
    ("ahead", "expected"), [(-2000.0, "silent"), (-100.0, "waiting"), (3 * DAY, "receiving")]
)
def test_a_device_is_not_heard_for_days_because_of_a_time_ahead(
    tmp_path: Path, codec: Codec, data: bytes, monkeypatch: pytest.MonkeyPatch, ahead: float, expected: str
) -> None:
    keep(tmp_path / "cam", "a.helio", data, at=time.time() + ahead)
    live = Live(tmp_path, Decoder(codec, "preview"))
    assert health(live) == expected
    (told,) = (fields for what, fields in live.since(0)[1] if what == "device")
    assert told["last"] <= time.time()
    assert told["bytes_per_second"] == 0.0  # when it came is not known
    real = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: real + 11)
    assert health(live) == ("waiting" if expected == "receiving" else expected)
    monkeypatch.setattr(time, "monotonic", lambda: real + 901)
    assert health(live) == "silent"


def test_health_does_not_follow_a_clock_that_jumps(
    tmp_path: Path, codec: Codec, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path / "cam", "a.helio", data)
    live = Live(tmp_path, Decoder(codec, "preview"))
    assert health(live) == "receiving"
    serial = live.since(0)[0]
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 50 * DAY)
    assert health(live) == "receiving"
    monkeypatch.setattr(time, "time", lambda: real() - 50 * DAY)
    assert health(live) == "receiving"
    told = dict(live.since(serial)[1])
    assert told["device"]["last"] < real() - 49 * DAY
    assert told["picture"]["changed"] < real() - 49 * DAY  # who looks on is told of the mended time


def test_a_picture_of_a_stream_ahead_is_not_made_again(tmp_path: Path, codec: Codec, data: bytes) -> None:
    keep(tmp_path / "in/cam", "a.helio", data, at=time.time() + 3 * DAY)

    def made() -> int:
        return len(list(Watch(tmp_path / "in", tmp_path / "out", Decoder(codec, "preview")).step()))

    assert [made(), made()] == [1, 0]
    keep(tmp_path / "in/cam", "a.helio", data, at=time.time() + 4 * DAY)
    assert [made(), made()] == [1, 0]


def test_a_folder_with_a_file_ahead_is_read_once(
    tmp_path: Path, codec: Codec, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path / "cam", "a.helio", data, at=time.time() + 3 * DAY)
    os.utime(tmp_path / "cam", (1000, 1000))
    catalogue = Catalogue(tmp_path, Decoder(codec, "preview").registry)
    read: list[str] = []
    follow = Catalogue._follow_device

    def counted(self: Catalogue, device: str) -> bool:
        read.append(device)
        return follow(self, device)

    monkeypatch.setattr(catalogues.Catalogue, "_follow_device", counted)
    for _ in range(3):
        catalogue.look()
    assert [device for device in read if device] == ["cam"]
