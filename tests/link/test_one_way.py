"""One way: any few packets give a picture, from wherever they come, and nothing foreign is taken with a key."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from crc32c import crc32c

from heliograph.codec.codec import Codec
from heliograph.codec.stream import decode_stream
from heliograph.link.one_way import asking, journal
from heliograph.link.one_way.frames import PACKET, label_of
from heliograph.link.one_way.receiver import OneWayReceiver
from heliograph.link.one_way.sender import SPARE, OneWaySender
from heliograph.link.transfer.store import Store
from heliograph.link.wire.frames import FrameCoder
from heliograph.packets.loss import Losses
from heliograph.packets.numbers import PictureNumbers
from heliograph.packets.packet import device_number
from heliograph.packets.packetizer import Packetizer
from heliograph.packets.plan import Layer, Plan

KEY = bytes(range(32))
GOLDEN = Path(__file__).parents[1] / "golden"
Make = Callable[..., Any]


def sender_of(spool: Any, folder: Path, **options: Any) -> OneWaySender:
    options = {"spares": False, "rate": 1e9, "packet_bytes": 128} | options
    return OneWaySender(spool, "cam", numbers=PictureNumbers(folder / "numbers"), **options)


def frames_of(spool: Any, folder: Path, **options: Any) -> list[bytes]:
    sender = sender_of(spool, folder, **options)
    frames: list[bytes] = []
    while not sender.is_empty:
        if frame := sender.send(len(frames)):
            frames.append(frame)
    return frames


def listen(folder: Path, frames: list[bytes], key: bytes | None = None) -> OneWayReceiver:
    store = Store(folder)
    receiver = OneWayReceiver(store, key=key)
    for frame in frames:
        receiver.receive(frame, 0.0)
    receiver.close()
    store.close()
    return receiver


def kept(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.glob("cam/*") if p.name[0] != "." and p.suffix != ".state"}


@pytest.mark.parametrize("key", [None, KEY])
def test_all_arrives_when_nothing_is_lost(tmp_path: Path, make_spool: Make, key: bytes | None) -> None:
    spool = make_spool(20)
    sent = dict(spool.streams)
    frames = frames_of(spool, tmp_path, key=key)
    assert not spool.streams
    random.Random(1).shuffle(frames)
    receiver = listen(tmp_path / "out", frames, key)
    assert kept(tmp_path / "out") == sent
    assert not (tmp_path / "out" / journal.NAME).exists()
    assert [event.what for event in receiver.take_events()] == ["received"] * 20


def test_what_is_lost_is_made_up_for(tmp_path: Path, make_spool: Make) -> None:
    spool, draw = make_spool(10), random.Random(2)
    sent = dict(spool.streams)
    frames = frames_of(spool, tmp_path, losses=Losses(0.3))
    listen(tmp_path / "out", [frame for frame in frames if draw.random() > 0.2])
    assert kept(tmp_path / "out") == sent


def test_too_few_packets_give_the_stream_s_beginning(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(0)
    data = (GOLDEN / "slices.helio").read_bytes()
    spool.streams = {"a.helio": data}
    frames = frames_of(spool, tmp_path, losses=Losses(0.2), packet_bytes=32)
    random.Random(3).shuffle(frames)
    sizes = []
    for count in (*range(0, len(frames), 60), len(frames)):
        out = tmp_path / f"out{count}"
        listen(out, frames[:count])
        found = kept(out).get("a.helio.partial") or kept(out).get("a.helio") or b""
        assert data.startswith(found)
        sizes.append(len(found))
        if len(found) > 200:
            decode_stream(found, Codec(GOLDEN / "codec"), partial=True)
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 2
    assert sizes[-1] == len(data)


def test_a_receiver_that_starts_again_has_its_packets(tmp_path: Path, make_spool: Make) -> None:
    spool, out = make_spool(3), tmp_path / "out"
    sent = dict(spool.streams)
    frames = frames_of(spool, tmp_path)
    random.Random(4).shuffle(frames)
    for at in range(0, len(frames), 7):
        listen(out, frames[at : at + 7])
    assert kept(out) == sent
    (out / journal.NAME).write_bytes(b"\xff\xff nonsense")
    listen(out, frames)  # all again: nothing is new
    assert kept(out) == sent


def test_what_a_power_cut_left_of_a_packet_is_passed_over(tmp_path: Path, make_spool: Make) -> None:
    spool, out = make_spool(1), tmp_path / "out"
    sent = dict(spool.streams)
    frames = frames_of(spool, tmp_path)
    listen(out, frames[:5])
    data = (out / journal.NAME).read_bytes()
    assert len(data) == 5 * 130
    (out / journal.NAME).write_bytes(data[:-1])
    listen(out, frames[5:])
    listen(out, frames[4:5])
    assert kept(out) == sent


def test_two_receivers_add_up(tmp_path: Path, make_spool: Make) -> None:
    """On two ports each of which hears half."""
    spool = make_spool(4)
    sent = dict(spool.streams)
    frames = frames_of(spool, tmp_path)
    receiver = OneWayReceiver(Store(tmp_path / "out"))
    ends = receiver, receiver.ear()
    for number, frame in enumerate(frames):
        end = ends[number % 2]
        end.receive(frame[:9], 0.0)  # pieces of two frames at once, as ports give them
        end.receive(frame[9:], 0.0)
    receiver.close()
    assert kept(tmp_path / "out") == sent
    assert (ends[1].send(0.0), ends[1].take_events()) == (b"", [])


def test_with_a_key_nothing_foreign_is_taken(tmp_path: Path, make_spool: Make) -> None:
    keyed = frames_of(make_spool(1), tmp_path, key=KEY)
    others = {
        "plain": frames_of(make_spool(1), tmp_path),
        "other": frames_of(make_spool(1), tmp_path, key=bytes(32)),
    }
    for name, frames in others.items():
        receiver = listen(tmp_path / name, frames, KEY)
        (event, *_) = receiver.take_events()
        assert "of another key or of none" in event.details["reason"]
        assert not (tmp_path / name).exists()
    assert listen(tmp_path / "unkeyed", keyed).take_events()[0].what == "suspect"
    assert not (tmp_path / "unkeyed").exists()


def test_noise_leaves_no_trace(tmp_path: Path) -> None:
    receiver, draw, coder = OneWayReceiver(Store(tmp_path), key=KEY), random.Random(0), FrameCoder()
    for n in range(500):
        receiver.receive(draw.randbytes(200), n)
        receiver.receive(coder.encode(bytes([PACKET]) + draw.randbytes(draw.randint(1, 100))), n)
        receiver.receive(coder.encode(b"\x10" + draw.randbytes(20)), n)
    receiver.close()
    assert not list(tmp_path.iterdir())


def test_a_word_back_brings_what_is_missing(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(2)
    sent = dict(spool.streams)
    sender, store = sender_of(spool, tmp_path, key=KEY), Store(tmp_path / "out")
    receiver = OneWayReceiver(store, key=KEY, asks=True)
    now, words, frames = 0.0, 0, 0
    while now < 100 and len(list(tmp_path.glob("out/cam/*.helio"))) < 2:
        now += 0.05
        if frame := sender.send(now):
            frames += 1
            if frames % 3 == 0 or words:  # two of three are lost, until somebody asks
                receiver.receive(frame, now)
        if word := receiver.send(now):
            words += 1
            sender.receive(word, now)
    assert kept(tmp_path / "out") == sent
    assert 2 <= words <= 16  # one for each layer that is lacking, of each picture
    told = [event for event in sender.take_events() if event.what == "asked"]
    assert {event.details["name"] for event in told} == set(sent)
    assert sender.is_empty


def test_words_are_few_and_for_the_right_ears(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(1)
    sender = sender_of(spool, tmp_path)
    receiver = OneWayReceiver(Store(tmp_path / "out"), asks=True)
    for now in range(6):
        receiver.receive(sender.send(now), now)
    assert receiver.deadline() <= 5 + asking.QUIET
    words = [(now, word) for now in range(6, 2000) if (word := receiver.send(now))]
    pauses = [b[0] - a[0] for a, b in pairwise(words)]
    assert pauses[:4] == [6, 12, 24, 48]
    assert max(pauses) == asking.LAST
    other = OneWaySender(make_spool(1), "other", numbers=PictureNumbers(tmp_path / "others"))
    other.receive(words[0][1], 0.0)
    assert [event.what for event in other.take_events()] == ["suspect"]
    sender.receive(FrameCoder().encode(b"\x21nonsense"), 0.0)
    assert [event.what for event in sender.take_events()] == ["suspect"]


def test_spare_time_goes_to_the_newest_pictures(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(2)
    sender = sender_of(spool, tmp_path, spares=True)
    frames: list[bytes] = []
    while not sender.is_empty:
        frames.append(sender.send(len(frames)))
    planned = len(frames)
    for now in range(planned, 5 * planned):
        if frame := sender.send(now):
            frames.append(frame)
    bodies = [FrameCoder().decode(frame.strip(b"\0")) for frame in frames]
    assert len(set(bodies)) == len(bodies)  # each is fresh
    assert planned < len(bodies) <= SPARE * planned + 2
    first = bodies[planned]
    assert isinstance(first, bytes)
    newest = max(body[3:6] for body in bodies if isinstance(body, bytes))
    assert first[3:6] == newest
    assert not sender_of(make_spool(0), tmp_path, spares=True).send(0.0)


def test_numbers_go_on_after_a_restart(tmp_path: Path, make_spool: Make) -> None:
    numbers = set()
    for seed in range(3):
        for frame in frames_of(make_spool(2, seed=seed), tmp_path):
            body = FrameCoder().decode(frame.strip(b"\0"))
            assert isinstance(body, bytes)
            numbers.add(int.from_bytes(body[3:7], "little") & (1 << 28) - 1)
    assert len(numbers) == 6


def told_as(device: int, label: str) -> list[bytes]:
    """Return the frames of a stream that says it is of something."""
    data = bytes(range(200))
    plan = Plan(200, crc32c(data), (Layer(3, 48), Layer(3, 48)), label=label)
    made = Packetizer(data, plan, device, 77)
    return [FrameCoder().encode(bytes([PACKET]) + made.packet(place)) for place in range(3)]


def test_packets_without_a_label_are_named_by_their_numbers(tmp_path: Path) -> None:
    listen(tmp_path, told_as(9, ""))
    assert (tmp_path / "device-00009/000000077.helio").read_bytes() == bytes(range(200))


@pytest.mark.parametrize("label", ["../a", "cam", "cam/../../a", "cam/a/b", ".cam/a"])
def test_labels_that_name_no_stream_are_no_names(tmp_path: Path, label: str) -> None:
    listen(tmp_path, told_as(9, label))
    paths = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.helio")}
    assert paths <= {"device-00009/000000077.helio"}


def test_who_speaks_in_another_s_name_is_not_taken(tmp_path: Path) -> None:
    receiver = listen(tmp_path, told_as(device_number("cam") ^ 1, label_of("cam", "a.helio")))
    assert [event.what for event in receiver.take_events()] == ["suspect"]
    assert not list(tmp_path.glob("cam"))
    listen(tmp_path, told_as(device_number("cam"), label_of("cam", "a.helio")))
    assert list(kept(tmp_path)) == ["a.helio"]


def test_what_cannot_go_stays_in_the_spool(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(0)
    spool.streams = {"bad name.helio": b"x", "large.helio": bytes(4_000_000), "a.helio": b"small"}
    sender = sender_of(spool, tmp_path, packet_bytes=24, losses=Losses(0.5))
    now = 0
    while not sender.is_empty:
        sender.send(now)
        now += 1
    told = {event.details["name"]: event for event in sender.take_events()}
    assert sorted(spool.streams) == ["bad name.helio", "large.helio"]
    assert told["a.helio"].what == "sent"
    assert "too large for packets that carry 14" in told["large.helio"].details["reason"]
