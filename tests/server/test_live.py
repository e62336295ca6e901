"""The folder a receiver writes, looked at again and again, and the pictures that are shown of it."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import Decoded
from heliograph.device.encoder import Encoder
from heliograph.errors import StreamError
from heliograph.link.transfer.partial import arrived
from heliograph.pauses import Pauses
from heliograph.server.decoders import Decoder
from heliograph.server.inbox import Entry, Inbox
from heliograph.server.live import Live, Shown

Arrive = Callable[..., Path]
FIRST, SECOND, THIRD = (f"20260101T00000{n}.000000Z-0000000{n}.helio" for n in (1, 2, 3))


@pytest.fixture(scope="module")
def layered(encoder: Encoder, paint: Callable[[int, int], npt.NDArray[np.uint8]]) -> bytes:
    """A stream in layers."""
    return Encoder(encoder.codec, layered=True, base=True).encode(paint(97, 61), Rate(quality=90))


@pytest.fixture
def live(tmp_path: Path, codec: Codec) -> Live:
    """The pictures of a folder, looked at by hand."""
    return Live(tmp_path, Decoder(codec, "preview", max_pixels=80_000_000), latest=3)


def told(live: Live, serial: int = 0) -> dict[tuple[str, str], dict[str, Any]]:
    return {(what, f.get("name", f["device"])): f for what, f in live.since(serial)[1]}


def look(live: Live) -> None:
    while live.step():
        pass


def test_what_is_there_is_found_latest_first(tmp_path: Path, arrive: Arrive, layered: bytes) -> None:
    inbox = Inbox(tmp_path / "out")
    assert inbox.look() == []  # not there yet
    arrive(tmp_path / "out", "a", FIRST, layered, [(0, len(layered))])
    arrive(tmp_path / "out", "b", SECOND, layered, [(0, 50), (60, 100)])
    arrive(tmp_path / "out", "a", THIRD, layered, [(0, 20)])
    found = inbox.look()
    assert [(s.device, s.name, s.is_whole, s.held, s.size) for s in found] == [
        ("a", THIRD, False, 20, len(layered)),
        ("b", SECOND, False, 90, len(layered)),
        ("a", FIRST, True, len(layered), len(layered)),
    ]
    assert inbox.look() == found
    arrive(tmp_path / "out", "b", SECOND, layered, [(50, 60)])
    assert (inbox.look()[0].name, inbox.look()[0].held) == (
        SECOND,
        100,
    )  # it came last, whatever its name says
    (tmp_path / "out" / "a" / FIRST).unlink()
    assert [s.name for s in inbox.look()] == [SECOND, THIRD]
    assert [s.name for s in Inbox(tmp_path / "out", latest=1).look()] == [SECOND, THIRD]  # of each device
    assert found[2].key == ("a", FIRST)
    with pytest.raises(StreamError, match="No such file or directory; it may have been moved away"):
        found[2].read()


def test_a_pipe_in_the_place_of_a_stream_is_not_waited_for(tmp_path: Path, layered: bytes) -> None:
    path = tmp_path / "cam/a.helio"
    path.parent.mkdir()
    path.write_bytes(layered)
    (entry,) = Inbox(tmp_path).look()
    path.unlink()
    os.mkfifo(path)
    assert entry.pixels() == 0
    assert entry.read() == b""
    assert Inbox(tmp_path).look() == []


def test_names_no_receiver_gives_and_links_are_passed_over(tmp_path: Path, layered: bytes) -> None:
    out, secret = tmp_path / "out", tmp_path / "secret.helio"
    secret.write_bytes(layered)
    (out / "cam").mkdir(parents=True)
    (out / ".hidden").mkdir()
    (out / "cam" / "<script>.helio").write_bytes(layered)
    (out / "cam" / "notes.txt").write_bytes(layered)
    (out / "cam" / "link.helio").symlink_to(secret)
    (out / "cam" / "dir.helio").mkdir()
    (out / ".hidden" / FIRST).write_bytes(layered)
    (out / "linked").symlink_to(tmp_path)
    inbox = Inbox(out)
    assert inbox.look() == []
    for device, name in (
        ("..", "secret.helio"),
        ("cam", "../../secret.helio"),
        ("cam", "link.helio"),
        ("cam", "dir.helio"),
        ("linked", "secret.helio"),
        ("cam/..", FIRST),
        ("", FIRST),
    ):
        assert inbox.find(device, name) is None


def test_a_picture_sharpens_as_its_layers_arrive(
    live: Live, tmp_path: Path, arrive: Arrive, layered: bytes
) -> None:
    stream = container.open(layered)
    ends = [at + length + 4 for at, length in stream.segments if length]
    assert len(ends) > 2
    arrive(tmp_path, "cam", FIRST, layered, [(0, stream.size - 1)])
    look(live)
    (serial, _), shown = live.since(0), told(live)["picture", FIRST]
    assert (shown["version"], shown["width"], shown["whole"]) == (0, 0, False)
    assert "cut in its header" in shown["error"]
    assert live.view("cam", FIRST) is None
    views, before = [], stream.size - 1
    for number, end in enumerate(ends, start=1):
        arrive(tmp_path, "cam", FIRST, layered, [(before, end)])
        before = end
        look(live)
        shown = told(live, serial)["picture", FIRST]
        serial = live.since(0)[0]
        assert (shown["version"], shown["error"], shown["width"]) == (number, "", 97)
        assert shown["whole"] == (number == len(ends))
        views.append(live.view("cam", FIRST))
    assert shown["state"] == "complete"
    assert len(set(views)) == len(views)
    with Image.open(io.BytesIO(views[-1] or b"")) as picture:
        assert (picture.format, picture.size) == ("JPEG", (97, 61))
    assert live.since(serial) == (serial, [])


def test_bytes_that_add_no_symbol_make_no_new_picture(
    live: Live, tmp_path: Path, arrive: Arrive, layered: bytes
) -> None:
    stream = container.open(layered)
    (at, length), (last, _) = stream.segments[0], stream.segments[-1]
    arrive(tmp_path, "cam", FIRST, layered, [(0, at + length + 4), (last, last + 3)])
    look(live)
    assert told(live)["picture", FIRST]["version"] == 1
    arrive(tmp_path, "cam", FIRST, layered, [(last + 3, last + 6)])  # of a layer after one that is missing
    look(live)
    shown = told(live)["picture", FIRST]
    assert (shown["version"], shown["held"]) == (1, at + length + 4 + 6)


def test_devices_have_a_rate_and_a_health(live: Live, tmp_path: Path, arrive: Arrive, layered: bytes) -> None:
    arrive(tmp_path, "cam", FIRST, layered, [(0, 120)])
    look(live)
    arrive(tmp_path, "cam", FIRST, layered, [(120, 180)])
    arrive(tmp_path, "cam2", SECOND, layered, [(0, 60)])
    arrive(tmp_path, "cam2", THIRD, layered, [(0, 30)])
    look(live)
    assert (
        told(live)["device", "cam2"]["bytes_per_second"] == 1.5
    )  # counted once, however long decoding takes
    device = told(live)["device", "cam"]
    assert device["bytes_per_second"] == 3.0
    assert (device["health"], device["pictures"], device["failed"]) == ("receiving", 0, 0)
    arrive(tmp_path, "cam", FIRST, layered, [(180, len(layered))])
    path = arrive(tmp_path, "old", SECOND, layered, [(0, len(layered))])
    hours_ago = time.time() - 7200
    os.utime(path, (hours_ago, hours_ago))
    look(live)
    assert told(live)["device", "cam"]["pictures"] == 1
    assert told(live)["device", "old"] == {
        "device": "old",
        "health": "silent",
        "bytes_per_second": 0.0,
        "pictures": 1,
        "failed": 0,
        "last": pytest.approx(hours_ago, abs=1e-3),
    }


def test_what_cannot_be_decoded_is_shown_with_its_reason(live: Live, tmp_path: Path, layered: bytes) -> None:
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam" / FIRST).write_bytes(b"<script>alert(1)</script>")
    vast = container.pack(
        container.Header(container.open(layered).header.codec_id, 9000, 9000, 500, 1), [b""]
    )
    (tmp_path / "cam" / SECOND).write_bytes(vast)
    look(live)
    shown = told(live)
    assert shown["picture", FIRST]["error"].startswith("not a .helio stream")
    assert shown["picture", SECOND]["error"].startswith("9000x9000 is too large: 81.0 megapixels")
    assert (shown["device", "cam"]["failed"], shown["device", "cam"]["health"]) == (2, "failing")
    with pytest.raises(StreamError, match=r"not a \.helio stream"):
        live.picture("cam", FIRST)


def test_only_the_latest_are_kept_and_the_others_go(
    live: Live, tmp_path: Path, arrive: Arrive, layered: bytes
) -> None:
    names = [f"20260101T00000{n}.000000Z-00000000.helio" for n in range(6)]
    for name in names[:3]:
        arrive(tmp_path, "cam", name, layered, [(0, len(layered))])
    look(live)
    serial = live.since(0)[0]
    arrive(tmp_path, "cam", names[3], layered, [(0, len(layered))])
    look(live)
    assert ("gone", names[0]) in told(live, serial)
    assert {name for what, name in told(live) if what == "picture"} == set(names[1:4])
    assert live.view("cam", names[0]) is None
    assert live.picture("cam", names[0]) is not None  # still there for download


def test_names_of_another_century_are_latest_only_as_they_arrive(
    live: Live, tmp_path: Path, arrive: Arrive, layered: bytes
) -> None:
    for age, year in enumerate((2099, 2098, 2026, 2025, 2027)):  # the clock was ahead, and was set
        path = arrive(
            tmp_path, "cam", f"{year}0101T000000.000000Z-00000000.helio", layered, [(0, len(layered))]
        )
        os.utime(path, (1000 + age, 1000 + age))
    look(live)
    shown = [name[:4] for what, name in told(live) if what == "picture"]
    assert shown == ["2027", "2025", "2026"]


def test_one_device_does_not_keep_the_others_from_being_shown(
    live: Live, tmp_path: Path, arrive: Arrive, layered: bytes
) -> None:
    codec_id = container.open(layered).header.codec_id
    vast = container.pack(container.Header(codec_id, 3000, 3000, 500, 1), [b""])
    for n in range(3):
        arrive(tmp_path, f"cam{n}", FIRST, layered, [(0, len(layered))])
    for n in range(4):
        arrive(tmp_path, "hostile", f"20990101T00000{n}.000000Z-00000000.helio", vast, [(0, len(vast))])
        live.step()  # its streams come faster than they are decoded
    shown = {told["device"] for what, told in live.since(0)[1] if what == "picture"}
    assert shown >= {"cam0", "cam1", "cam2"}


class Counted(Entry):
    """An entry that counts how often its device is asked for."""

    asked = 0

    def __getattribute__(self, name: str) -> Any:
        Counted.asked += name == "device"
        return super().__getattribute__(name)


def test_a_look_is_in_proportion_to_the_streams(live: Live, tmp_path: Path) -> None:
    # The lock is held meanwhile, and whoever looks on waits for it.
    streams = [
        Counted(f"cam{n}", name, tmp_path, True, 100, 100, 0.0, (0, 0, True))
        for n in range(300)
        for name in (FIRST, SECOND)
    ]
    Counted.asked = 0
    assert len(live._take(list(streams))) == 600
    assert Counted.asked <= 10 * len(streams)
    assert len(told(live)) == 300  # devices


def test_news_are_in_proportion_to_what_is_new(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(500):
        live._shown["cam", str(n)] = Shown(
            Entry("cam", str(n), Path(), True, 1, 1, 0.0, (0, 0, True)), serial=live._next()
        )
    made = 0

    def counted(self: Shown) -> int:
        nonlocal made
        made += 1
        return int(self.__dict__["serial"])

    monkeypatch.setattr(Shown, "serial", property(counted))
    assert [told["name"] for _, told in live.since(497)[1]] == ["497", "498", "499"]
    assert live.since(500) == (500, [])
    assert made <= 10


def test_arrived_bytes_count_once(tmp_path: Path, arrive: Arrive, layered: bytes) -> None:
    arrive(tmp_path, "cam", FIRST, layered, [(0, 40), (20, 60), (80, 90)])
    path = tmp_path / "cam" / f"{FIRST}.partial"
    assert arrived(path) == (70, len(layered))
    state = path.with_suffix(".state")
    state.write_bytes(state.read_bytes()[:-5])  # a torn record
    assert arrived(path) == (60, len(layered))
    state.write_bytes(b"HG")
    assert arrived(path) == (0, 0)


def test_the_address_of_a_view_is_that_of_its_pixels(
    live: Live, tmp_path: Path, arrive: Arrive, layered: bytes, codec: Codec
) -> None:
    stream = container.open(layered)
    first = stream.segments[1][0]
    arrive(tmp_path, "cam", FIRST, layered, [(0, first)])
    look(live)
    coarse = told(live)["picture", FIRST]["view"]
    again = Live(tmp_path, Decoder(codec, "preview"))  # the page was started anew
    look(again)
    assert told(again)["picture", FIRST]["view"] == coarse
    arrive(tmp_path, "cam", FIRST, layered, [(first, len(layered))])
    anew = Live(tmp_path, Decoder(codec, "preview"))
    look(anew)
    assert told(anew)["picture", FIRST]["version"] == 1  # as the first had
    assert told(anew)["picture", FIRST]["view"] != coarse
    look(live)
    assert told(live)["picture", FIRST]["view"] == told(anew)["picture", FIRST]["view"]


def test_what_cannot_be_decoded_shows_no_picture_of_before(
    live: Live, tmp_path: Path, arrive: Arrive, layered: bytes
) -> None:
    path = arrive(tmp_path, "cam", FIRST, layered, [(0, len(layered))])
    look(live)
    assert live.view("cam", FIRST)
    path.write_bytes(b"another")
    look(live)
    shown = told(live)["picture", FIRST]
    assert (shown["view"], live.view("cam", FIRST)) == ("", None)
    assert shown["error"].startswith("not a .helio stream")
    path.write_bytes(layered)
    look(live)
    assert live.view("cam", FIRST)


def test_news_are_told_from_where_one_stands(
    live: Live, tmp_path: Path, arrive: Arrive, layered: bytes, codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(tmp_path, "cam", FIRST, layered, [(0, len(layered))])
    look(live)
    at, is_anew, changes = live.news("")
    assert is_anew
    assert [what for what, _ in changes] == ["device", "picture"]
    assert live.news(at) == (at, False, [])
    arrive(tmp_path, "cam", SECOND, layered, [(0, len(layered))])
    look(live)
    later, is_anew, changes = live.news(at)
    assert (is_anew, {fields.get("name") for _, fields in changes}) == (False, {None, SECOND})
    for foreign in (
        "x",
        "-",
        f"x{at}",
        at.partition("-")[0],
        f"{at}x",
        at.partition("-")[0] + "-\u0661\u00b2",
    ):
        assert live.news(foreign)[:2] == (later, True)
    other = Live(tmp_path, Decoder(codec, "preview"))
    look(other)
    assert other.news(at)[1]  # a page that was started anew tells all


def test_who_was_away_for_long_is_told_all(
    tmp_path: Path, codec: Codec, arrive: Arrive, layered: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.server.live.GONE", 3)
    live = Live(tmp_path, Decoder(codec, "preview"))
    paths = [arrive(tmp_path, "cam", name, layered, [(0, len(layered))]) for name in (FIRST, SECOND, THIRD)]
    look(live)
    at = live.news("")[0]
    for path in paths[:2]:
        path.unlink()
        look(live)
    near = live.news(at)
    assert not near[1]
    assert [fields["name"] for what, fields in near[2] if what == "gone"] == [FIRST, SECOND]
    paths[2].unlink()
    look(live)
    assert live.news(at)[1]
    assert not live.news(near[0])[1]


class Short(Decoder):
    """A decoder that has no memory at first."""

    failures = 2

    def pixels(self, decoded: Decoded) -> npt.NDArray[np.uint8]:
        if self.failures:
            self.failures -= 1
            raise MemoryError
        return super().pixels(decoded)


def test_what_failed_for_want_of_memory_is_tried_again(
    tmp_path: Path, codec: Codec, arrive: Arrive, layered: bytes
) -> None:
    live = Live(tmp_path, Short(codec, "preview"))
    live._pauses = Pauses(0.2)
    arrive(tmp_path, "cam", FIRST, layered, [(0, len(layered))])
    tried = []
    began = time.monotonic()
    while not live.view("cam", FIRST) and time.monotonic() < began + 20:
        if live.step():
            tried.append(time.monotonic() - began)
            shown = told(live)["picture", FIRST]
            assert shown["error"] == ("not enough memory to decode it" if len(tried) < 3 else "")
    assert len(tried) == 3
    assert tried[1] > 0.2
    assert tried[2] > 0.6  # after twice as long
    assert not live.step()
