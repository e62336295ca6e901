"""One way: what is lost is a blemish, what comes again improves it, and nothing old is accepted with a key."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.stream import decode_stream
from heliograph.errors import LinkError
from heliograph.link.one_way.bodies import Description, Piece, parse
from heliograph.link.one_way.counters import SeenCounters, SendingCounter
from heliograph.link.one_way.cutting import PAYLOADS, cut_stream
from heliograph.link.one_way.frames import COUNTERS
from heliograph.link.one_way.receiver import OneWayReceiver
from heliograph.link.one_way.sender import OneWaySender
from heliograph.link.transfer.store import Store
from heliograph.link.wire.frames import FrameCoder

KEY = bytes(range(32))
GOLDEN = Path(__file__).parents[1] / "golden"
Make = Callable[..., Any]


def frames_of(spool: Any, tmp_path: Path, key: bytes | None = None, repeat: int = 1) -> list[bytes]:
    sender = OneWaySender(spool, "cam", key=key, counter_file=tmp_path / "counter", repeat=repeat, rate=1e9)
    frames: list[bytes] = []
    while not sender.is_empty:
        if frame := sender.send(len(frames)):
            frames.append(frame)
    return frames


def listen(folder: Path, frames: list[bytes], key: bytes | None = None) -> OneWayReceiver:
    receiver = OneWayReceiver(Store(folder), key=key)
    for frame in frames:
        receiver.receive(frame, 0.0)
    receiver.close()
    receiver._store.close()
    return receiver


@pytest.mark.parametrize("key", [None, KEY])
def test_all_arrives_when_nothing_is_lost(tmp_path: Path, make_spool: Make, key: bytes | None) -> None:
    spool = make_spool(20)
    sent = dict(spool.streams)
    frames = frames_of(spool, tmp_path, key)
    assert not spool.streams
    random.Random(1).shuffle(frames) if key is None else None  # any order will do
    listen(tmp_path / "out", frames, key)
    folder = tmp_path / "out/cam"
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name[0] != "."} == sent


def test_a_hole_is_a_blemish_and_a_repeat_fills_it(tmp_path: Path, make_spool: Make) -> None:
    codec = Codec(GOLDEN / "codec")
    data = (GOLDEN / "slices.helio").read_bytes()
    stream = container.open(data)
    assert stream.header.slice_count > 2
    spool = make_spool(0)
    spool.streams = {"a.helio": data}
    frames = frames_of(spool, tmp_path)
    seen = 0
    for lost in range(len(frames)):
        out = tmp_path / f"out{lost}"
        # Without what is repeated: each frame's first copy, but one.
        firsts = list(dict.fromkeys(frame.lstrip(b"\0") for frame in frames))
        if lost >= len(firsts):
            break
        kept = firsts[:lost] + firsts[lost + 1 :]
        listen(out, kept)
        partials = list(out.glob("cam/a.helio.partial"))
        if lost == 0:  # the description
            assert not partials
            continue
        (partial,) = partials
        decoded = decode_stream(partial.read_bytes(), codec, partial=True)
        assert not decoded.loss.is_none
        assert 1 <= decoded.loss.damaged + decoded.loss.missing + decoded.loss.cut < decoded.loss.segments
        seen += 1
        listen(out, [firsts[0], firsts[lost]])  # another receiver, later
        assert (out / "cam/a.helio").read_bytes() == data
        assert not list(out.glob("cam/*.partial")) + list(out.glob("cam/*.state"))
    assert seen >= 1


def test_of_one_slice_the_bytes_before_the_hole_are_there(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(1, (3000, 3000))
    (data,) = spool.streams.values()
    firsts = list(dict.fromkeys(frame.lstrip(b"\0") for frame in frames_of(spool, tmp_path)))
    listen(tmp_path / "out", firsts[:2] + firsts[3:])
    (partial,) = (tmp_path / "out").glob("cam/*.partial")
    found = partial.read_bytes()
    assert 0 < len(found) < len(data)
    assert data.startswith(found)


def test_frames_have_whole_segments_of_distant_slices() -> None:
    draw = random.Random(0)
    header = container.Header(bytes(8), 1024, 1024, 500, 2, 16)
    slices = header.slice_count
    sizes = [draw.choice([40, 60, 90]) for _ in range(2 * slices)]
    data = container.pack(header, [draw.randbytes(size) for size in sizes])
    stream = container.open(data)
    cuts = cut_stream(data)
    spans = {at: length + 4 for at, length in stream.segments}
    number = {at: n for n, (at, _) in enumerate(stream.segments)}
    found = bytearray(data[: stream.size])
    for frame in cuts.base + cuts.rest:
        assert sum(len(run) for _, run in frame) <= PAYLOADS[-1]
        for offset, run in frame:
            assert spans[offset] == len(run)
        places = sorted(number[offset] % slices for offset, _ in frame)
        assert all(b - a > 1 for a, b in itertools.pairwise(places))
    runs = sorted(run for frame in cuts.base + cuts.rest for run in frame)
    assert bytes(found) + b"".join(run for _, run in runs) == data
    assert all(offset < stream.segments[slices][0] for frame in cuts.base for offset, _ in frame)


def test_with_a_key_nothing_old_and_nothing_foreign_is_taken(tmp_path: Path, make_spool: Make) -> None:
    frames = frames_of(make_spool(1), tmp_path, KEY)
    out = tmp_path / "out"
    store = Store(out)
    receiver = OneWayReceiver(store, key=KEY)
    for frame in frames[:2] + frames[:2]:
        receiver.receive(frame, 0.0)
    told = [event.details["reason"] for event in receiver.take_events() if event.what == "suspect"]
    assert len(told) == 1
    assert "came again and is refused" in told[0]
    receiver.close()
    store.close()
    again = OneWayReceiver(Store(out), key=KEY)  # after a restart
    for frame in frames[:2]:
        again.receive(frame, 0.0)
    assert [e.what for e in again.take_events()] == ["suspect"]
    (tmp_path / "fresh").mkdir()
    plain = frames_of(make_spool(1, seed=3), tmp_path / "fresh")
    other = frames_of(make_spool(1, seed=4), tmp_path, bytes(32))
    forged = [FrameCoder().encode(bytes([0x21]) + bytes(40))]
    foreigners = ((plain, "has no key"), (other, "key is not the one here"), (forged, "forged"))
    for n, (foreign, said) in enumerate(foreigners):
        for frame in foreign:
            again.receive(frame, 100.0 * n)
        reasons = {e.details["reason"] for e in again.take_events()}
        assert any(said in reason for reason in reasons)
    unkeyed = OneWayReceiver(Store(tmp_path / "plain"))
    for frame in frames:
        unkeyed.receive(frame, 0.0)
    unkeyed.close()
    assert "this receiver none; give --key-file" in unkeyed.take_events()[0].details["reason"]
    assert not list((tmp_path / "plain").rglob("*"))


def test_noise_and_hostile_bodies_leave_no_trace(tmp_path: Path) -> None:
    receiver, draw, coder = OneWayReceiver(Store(tmp_path)), random.Random(0), FrameCoder()
    for n in range(500):
        receiver.receive(draw.randbytes(200), n)
        receiver.receive(coder.encode(b"\x20" + draw.randbytes(draw.randint(1, 100))), n)
        receiver.receive(coder.encode(b"\x20abcd\x02" + draw.randbytes(4) + b"\x00\x05hello"), n)
    receiver.close()
    assert not list(tmp_path.iterdir())
    assert (
        receiver._orphaned == sum(len(d) for runs in receiver._orphans.values() for _, d in runs) <= 256 << 10
    )


def test_bodies_are_parsed_strictly() -> None:
    good = b"\x02wxyz\x05\x02ab\x80\x01\x01c"
    assert parse(good) == Piece(b"wxyz", ((5, b"ab"), (128, b"c")))
    for runs in (b"", b"\x05", b"\x05\x00", b"\x05\x03ab", b"\x80\x00\x01a"):
        assert parse(b"\x02wxyz" + runs) is None
    digest = bytes(range(32))
    good = b"\x01\x09" + digest + b"\x07a.helio\x03camHLO"
    assert parse(good) == Description("a.helio", "cam", 9, digest, b"HLO")
    assert parse(good + b"1 + 2 ") == Description("a.helio", "cam", 9, digest, b"HLO1 + 2 ")
    bad = [
        b"",
        b"\x03" + good[1:],
        good[:44],
        good[:40],
        good[:20],
        good + b"1 + 2 +",
        b"\x01\x00" + good[2:],
    ]
    bad += [
        good.replace(b"a.helio", b"/.helio"),
        good.replace(b"cam", b"c\xe4m"),
        good.replace(b"cam", b"../"),
    ]
    for data in bad:
        assert parse(data) is None, data


def test_after_a_restart_a_hole_still_harms_one_slice_only(tmp_path: Path, make_spool: Make) -> None:
    data = (GOLDEN / "slices.helio").read_bytes()
    spool = make_spool(0)
    spool.streams = {"a.helio": data}
    firsts = list(dict.fromkeys(frame.lstrip(b"\0") for frame in frames_of(spool, tmp_path)))
    assert len(firsts) > 3
    listen(tmp_path / "out", firsts[:1])
    listen(tmp_path / "out", [firsts[0], firsts[-1]])
    (partial,) = (tmp_path / "out").glob("cam/*.partial")
    last = FrameCoder().decode(firsts[-1].rstrip(b"\0"))
    assert isinstance(last, bytes)
    piece = parse(last[5:])
    assert isinstance(piece, Piece)
    there = partial.read_bytes()
    for offset, run in piece.runs:
        assert offset > container.open(data).size
        assert there[offset : offset + len(run)] == run


def test_counters_rise_across_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, found = tmp_path / "counter", []
    monkeypatch.setattr("time.time", lambda: 1000.0)
    for _ in range(3):
        counter = SendingCounter(path)
        found += [counter.next() for _ in range(5000)]
        monkeypatch.setattr("time.time", lambda: 0.0)  # a board without a clock
    assert found == sorted(set(found))
    assert found[0] == 1000 << 10
    path.write_text("nonsense")
    with pytest.raises(LinkError, match=r"counter file .* cannot be used"):
        SendingCounter(path)


def test_seen_counters_last(tmp_path: Path) -> None:
    seen = SeenCounters(tmp_path / COUNTERS)
    assert seen.accept(b"cam1", 7)
    assert not seen.accept(b"cam1", 7)
    assert seen.accept(b"cam2", 3)
    seen.save()
    again = SeenCounters(tmp_path / COUNTERS)
    assert not again.accept(b"cam1", 7)
    assert again.accept(b"cam1", 8)
    (tmp_path / COUNTERS).write_text("[1]")
    with pytest.raises(LinkError, match="old frames would be accepted again"):
        SeenCounters(tmp_path / COUNTERS)
