"""Fuzzed lines: frames, messages and bodies by themselves, and both ends of the link with a hostile other end.

The other end has the session, and the key where there is one: what it says gets past checksums, numbers and seals.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

from tests.fuzz.havoc import change_bytes, change_number
from tests.link.conftest import name_of, stream_of

from heliograph.link.one_way.frames import PACKET, label_of, packet_key
from heliograph.link.one_way.journal import NAME as JOURNAL
from heliograph.link.one_way.receiver import OneWayReceiver
from heliograph.link.simulate.spool import MemorySpool
from heliograph.link.transfer.receiver import Receiver
from heliograph.link.transfer.sender import Sender
from heliograph.link.transfer.store import Store
from heliograph.link.wire import messages
from heliograph.link.wire.frames import MAX_BODY, Corrupt, FrameCoder, FrameDecoder
from heliograph.link.wire.messages import (
    Ack,
    Announce,
    Data,
    Done,
    Gone,
    Have,
    Message,
    Ping,
    Reject,
)
from heliograph.link.wire.names import is_device, is_stream
from heliograph.link.wire.proofs import PROOF_BYTES
from heliograph.link.wire.session import Initiator, Responder
from heliograph.packets import packet
from heliograph.packets import plan as plans
from heliograph.packets.fitting import plan_for
from heliograph.packets.loss import Losses
from heliograph.packets.packet import carried, device_number
from heliograph.packets.packetizer import Packetizer

KEY = bytes(range(32))
STREAMS = [stream_of(n, sizes) for n, sizes in enumerate([(40, 70), (300, 0, 9), (2500, 900)])]
NAMES = [*(name_of(n, data) for n, data in enumerate(STREAMS)), "a.helio", "b.helio"]
MOST_ON_DISK = 1 << 16  # bytes for each frame: what is sparse takes blocks, and a folder some more
MOST_ANSWERS = 2000  # frames to one step


@dataclass
class Raw:
    """Bytes in the place of a message."""

    data: bytes

    def to_bytes(self) -> bytes:
        return self.data


def ranges(rng: random.Random) -> tuple[tuple[int, int], ...]:
    """Return rising ranges that do not touch."""
    out, at = [], 0
    for _ in range(rng.randint(1, 5)):
        start = at + 1 + change_number(0, rng, 2000)
        at = start + 1 + change_number(0, rng, 2000)
        out.append((start, at))
    return tuple(out)


def upward(rng: random.Random) -> Message:
    """Return what a sender may say, most of it of the streams there are."""
    number, data = rng.randint(1, 4), rng.choice(STREAMS)
    kind = rng.randrange(8)
    if kind < 3:
        size = len(data) if rng.random() < 0.8 else 1 + change_number(len(data), rng, (1 << 28) - 1)
        return Announce(number, size, hashlib.sha256(data).digest(), rng.choice(NAMES), rng.random() < 0.3)
    if kind < 6:
        start = rng.choice((0, rng.randrange(len(data))))
        return Data(number, start, data[start : start + rng.choice((1, 100, 2000))])
    return rng.choice((Gone(number), Ping()))


def downward(rng: random.Random) -> Message:
    """Return what a receiver may say that never had a stream's bytes."""
    number = rng.randint(1, 4)
    kind = rng.randrange(4)
    if kind == 0:
        return Have(number, ranges(rng) if rng.random() < 0.8 else ())
    if kind == 1:
        digest = hashlib.sha256(rng.choice(STREAMS)).digest()
        return Done(number, digest, rng.randbytes(PROOF_BYTES))
    if kind == 2:
        return Ack(ranges(rng)[::-1] if rng.random() < 0.5 else ((0, rng.randint(1, 30)),))
    return Reject(number, rng.randint(1, 4))


def packetizers(key: bytes | None) -> list[Packetizer]:
    """Return what makes the packets of each stream, under names that it may have."""
    made = []
    for number, data in enumerate(STREAMS):
        label = label_of("cam", NAMES[number % len(NAMES)])
        plan, _ = plan_for(data, None, carried(64, key), Losses(0.1), label=label)
        made.append(Packetizer(data, plan, device_number("cam"), 10 * number, key=key))
    return made


PACKETS = [one.packet(place) for one in packetizers(None) for place in (0, 1, 254)]
PLANS = [one.plan.to_bytes().ljust(300, b"\0") for one in packetizers(None)]


def frames(folder: Path) -> Callable[[random.Random], None]:
    """Fuzz the frames of a line: they are the same however it is split, and no longer than they may be."""
    coder = FrameCoder()

    def once(rng: random.Random) -> None:
        sent = [rng.randbytes(rng.choice((1, 20, 254, 255, MAX_BODY))) for _ in range(rng.randint(1, 5))]
        line = b"".join(coder.encode(body) for body in sent)
        whole = FrameDecoder(coder).feed(line)
        assert whole == sent
        line = change_bytes(line, rng, 8)
        if rng.random() < 0.1:
            line = line.replace(b"\0", b"\1")
        whole, split, decoder = FrameDecoder(coder).feed(line), [], FrameDecoder(coder)
        while line:
            size = rng.choice((1, 7, 300, len(line)))
            split += decoder.feed(line[:size])
            line = line[size:]
        assert split == whole
        assert all(isinstance(frame, Corrupt) or 1 <= len(frame) <= MAX_BODY for frame in whole)

    return once


def said(folder: Path) -> Callable[[random.Random], None]:
    """Fuzz messages and packets: what is parsed is written as the same bytes."""

    def once(rng: random.Random) -> None:
        made = rng.choice((upward, downward))(rng)
        data = made.to_bytes()
        assert messages.parse(data) == made
        data = change_bytes(data, rng)
        again = messages.parse(data)
        assert again is None or again.to_bytes() == data
        told = change_bytes(rng.choice(PACKETS), rng)
        read = packet.read(told)
        assert read is None or packet.write(read) == told
        head = change_bytes(rng.choice(PLANS), rng)
        plan = plans.read(head, rng.randint(1, 255), rng.randrange(16), rng.choice((14, 54, 1390)))
        assert plan is None or head.startswith(plan.to_bytes())

    return once


@contextmanager
def place_of(folder: Path) -> Iterator[Path]:
    """A folder for one execution."""
    place = folder / "received"
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


class Watched:
    """What a receiver keeps: in its place, under legal names, and whole pictures for ever."""

    def __init__(self, place: Path) -> None:
        self.place, self.frames = place, 0
        self._whole: dict[Path, bytes] = {}

    def look(self) -> None:
        used = 0
        for path in self.place.rglob("*"):
            used += path.lstat().st_blocks * 512
            if path.is_dir():
                assert path.parent == self.place
                assert is_device(path.name)
                continue
            name = path.name.removesuffix(".partial").removesuffix(".state")
            assert is_stream(name) or name in (".received", JOURNAL), path
            if is_stream(path.name):
                self._whole.setdefault(path, path.read_bytes())
        for path, data in self._whole.items():
            assert path.read_bytes() == data, f"{path} was overwritten"
        assert used <= MOST_ON_DISK * (self.frames + 2)


def put(data: bytes, take: Callable[[bytes], None], rng: random.Random) -> None:
    """Give bytes in pieces as a port does."""
    at = 0
    while at < len(data):
        size = rng.choice((1, 64, 4096, 4096))
        take(data[at : at + size])
        at += size


def body_of(session: Initiator | Responder, message: Message, rng: random.Random) -> bytes:
    """Return a packet of the session, changed within most times, and seldom after it was sealed."""
    data = message.to_bytes()
    if rng.random() < 0.6:
        data = change_bytes(data, rng)
    body = session.pack(cast("Message", Raw(data)))
    return (change_bytes(body, rng) if rng.random() < 0.1 else body)[:MAX_BODY] or b"\1"


def receivers(folder: Path) -> Callable[[random.Random], None]:
    """Fuzz the receiver of a transfer with a hostile sender."""
    coder = FrameCoder()

    def once(rng: random.Random) -> None:
        with place_of(folder) as place:
            store, watched = Store(place), Watched(place)
            key, now = rng.choice((None, KEY)), 0.0
            receiver, decoder, sender = Receiver(store, key=key), FrameDecoder(coder), Initiator("cam", key)

            def step(body: bytes) -> None:
                nonlocal now
                frame = coder.encode(body)
                if rng.random() < 0.05:
                    frame = change_bytes(frame, rng)
                watched.frames += 1
                put(frame, lambda piece: receiver.receive(piece, now), rng)
                now += rng.choice((0.0, 0.01, 0.3, 20.0))
                for _ in range(MOST_ANSWERS):
                    if not (answer := receiver.send(now)):
                        break
                    for heard in decoder.feed(answer):
                        assert isinstance(heard, bytes)
                        sender.take(heard)
                else:
                    raise AssertionError("answers without end")

            step(sender.hello)
            for _ in range(rng.randint(1, 24)):
                if sender.is_open and rng.random() < 0.95:
                    step(body_of(sender, upward(rng), rng))
                else:
                    sender.begin()
                    step(sender.hello if rng.random() < 0.8 else change_bytes(sender.hello, rng) or b"\1")
            receiver.take_events()
            watched.look()
            receiver.close()
            watched.look()
            store.close()

    return once


def receive(receiver: OneWayReceiver, now: float, data: bytes) -> None:
    """Give a receiver bytes."""
    receiver.receive(data, now)


def one_way_receivers(folder: Path) -> Callable[[random.Random], None]:
    """Fuzz a one-way receiver with a hostile sender, who has the key if there is one."""
    coder = FrameCoder()
    senders = {key: packetizers(packet_key(key)) for key in (None, KEY)}

    def once(rng: random.Random) -> None:
        with place_of(folder) as place:
            watched = Watched(place)
            key, now = rng.choice((None, KEY)), 0.0
            store = Store(place)
            receiver = OneWayReceiver(store, key=key, asks=rng.random() < 0.5)
            for _ in range(rng.randint(1, 60)):
                data = rng.choice(senders[key]).packet(rng.randrange(255))
                if rng.random() < 0.2:
                    changed = packet.read(data, packet_key(key))
                    assert changed is not None
                    pieces = change_bytes(changed.pieces, rng)[:1384].ljust(14, b"\0")
                    changed = replace(
                        changed, pieces=pieces, place=rng.randrange(256), needed=rng.randint(1, 12)
                    )
                    data = packet.write(changed, packet_key(key))
                if rng.random() < 0.05:
                    data = change_bytes(data, rng)[: MAX_BODY - 1]
                watched.frames += 1
                frame = coder.encode(bytes([PACKET]) + data)
                put(frame, partial(receive, receiver, now), rng)
                now += rng.choice((0.0, 0.1, 1.0))
                assert len(receiver.send(now)) <= 21  # a word with a tag
                if rng.random() < 0.02:
                    receiver.close()
                    store.close()
                    store = Store(place)
                    receiver = OneWayReceiver(store, key=key)
            receiver.take_events()
            watched.look()
            receiver.close()
            watched.look()
            store.close()

    return once


def senders(folder: Path) -> Callable[[random.Random], None]:
    """Fuzz the sender of a transfer with a hostile receiver: without a key nothing leaves the spool."""
    coder = FrameCoder()

    def once(rng: random.Random) -> None:
        key, now = rng.choice((None, KEY)), 0.0
        spool = MemorySpool(dict(zip(NAMES, STREAMS, strict=False)))
        sender, receiver, decoder = Sender(spool, "cam", key=key), Responder(key), FrameDecoder(coder)
        is_open = False
        for _ in range(rng.randint(2, 30)):
            answers = []
            for _ in range(MOST_ANSWERS):
                if not (data := sender.send(now)):
                    break
                for body in decoder.feed(data):
                    assert isinstance(body, bytes)
                    answer, _, is_new = receiver.take(body)
                    is_open |= is_new
                    if answer is not None:
                        answers.append(answer if rng.random() < 0.95 else change_bytes(answer, rng) or b"\1")
            else:
                raise AssertionError("frames without end")
            if is_open:
                answers += [body_of(receiver, downward(rng), rng) for _ in range(rng.randint(0, 4))]
            for answer in answers:
                put(coder.encode(answer), lambda piece, now=now: sender.receive(piece, now), rng)  # type: ignore[misc]
            now += rng.choice((0.0, 0.05, 1.0, 30.0))
            assert sender.deadline() > -1
        sender.take_events()
        if key is None:
            assert set(spool.streams) == set(NAMES[: len(STREAMS)]), "a picture went unproven"

    return once


def shared_memory() -> str | None:
    """Return a folder in memory, where flushing costs nothing; None where there is none."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
