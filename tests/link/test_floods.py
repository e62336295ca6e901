"""What a hostile sender without a key may cost: bounded work, memory and disk for each byte on the line."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.link.hostile import Speaker

from heliograph.link.one_way.frames import PACKET
from heliograph.link.one_way.journal import NAME
from heliograph.link.one_way.receiver import OneWayReceiver
from heliograph.link.transfer.partial import MAX_RUNS
from heliograph.link.transfer.patience import LAST_PAUSE
from heliograph.link.transfer.receiver import MAX_PENDING, Receiver
from heliograph.link.transfer.store import Store
from heliograph.link.wire import messages
from heliograph.link.wire.frames import FrameCoder
from heliograph.link.wire.messages import Announce, Data, Have
from heliograph.link.wire.proofs import proof_of, witness_of
from heliograph.packets import collector, packet

SIZE = 1 << 26
DIGEST = hashlib.sha256(b"never to come").digest()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of all that is read from files."""
    sizes: list[int] = []
    read_bytes, pread = Path.read_bytes, os.pread

    def noted(read: Callable[..., bytes]) -> Callable[..., bytes]:
        def call(*arguments: object) -> bytes:
            data = read(*arguments)
            sizes.append(len(data))
            return data

        return call

    monkeypatch.setattr(Path, "read_bytes", noted(read_bytes))
    monkeypatch.setattr(os, "pread", noted(pread))
    return sizes


def test_announcing_a_sparse_stream_again_reads_what_has_arrived_and_once(
    tmp_path: Path, reads: list[int]
) -> None:
    receiver = Receiver(Store(tmp_path))
    sender = Speaker(receiver)
    sender.say(Announce(1, SIZE, DIGEST, "a.helio"), Data(1, SIZE - 1, b"x"))
    assert sender.hear() == [Have(1, ())]
    for number in range(2, 100):
        sender.say(Announce(number, SIZE, DIGEST, "a.helio"))
        assert sender.hear() == [Have(number, ((SIZE - 1, SIZE),))]
    for _ in range(20):
        sender = Speaker(receiver, now=sender.now)
        sender.say(Announce(1, SIZE, DIGEST, "a.helio"))
        assert sender.hear() == [Have(1, ((SIZE - 1, SIZE),))]
    assert sum(reads) < 1000
    receiver._store.close()
    sender = Speaker(Receiver(Store(tmp_path)))
    sender.say(Announce(1, SIZE, DIGEST, "a.helio"))
    assert sender.hear() == [Have(1, ((SIZE - 1, SIZE),))]
    assert sum(reads) < 1000


def test_the_runs_of_a_stream_are_bounded_and_it_still_becomes_whole(tmp_path: Path) -> None:
    size = 4 * MAX_RUNS
    whole = bytes(n % 251 for n in range(size))
    digest = hashlib.sha256(whole).digest()
    receiver = Receiver(Store(tmp_path))
    sender = Speaker(receiver)
    sender.say(Announce(1, size, digest, "a.helio"))
    for at in range(0, size, 2):
        sender.say(Data(1, at, whole[at : at + 1]))
        if at % 1000 == 0:
            sender.hear()
    sender.hear()
    assert len(receiver._open[1].held) == MAX_RUNS
    for at in range(0, size, 1000):
        sender.say(Data(1, at, whole[at : at + 1000]))
    assert messages.Done(1, digest, proof_of(witness_of(whole), sender.session.nonce)) in sender.hear()
    assert (tmp_path / "cam/a.helio").read_bytes() == whole


def test_a_stream_that_strangers_spoilt_is_not_refused_for_ever(tmp_path: Path) -> None:
    whole = b"a picture" * 50
    digest = hashlib.sha256(whole).digest()
    sender = Speaker(Receiver(Store(tmp_path)))
    sender.say(Announce(1, len(whole), digest, "a.helio"))
    for _ in range(3):
        sender.say(Data(1, 0, b"x" * 9), Data(1, 9, whole[9:]))
        heard = sender.hear()
    assert heard[-1] == messages.Reject(1, messages.REJECTED_HASH)
    sender.say(Announce(2, len(whole), digest, "a.helio"))
    assert sender.hear() == [messages.Reject(2, messages.REJECTED_HASH)]
    sender.now += LAST_PAUSE
    sender.say(Announce(2, len(whole), digest, "a.helio"), Data(2, 0, whole))
    assert messages.Done(2, digest, proof_of(witness_of(whole), sender.session.nonce)) in sender.hear()
    assert (tmp_path / "cam/a.helio").read_bytes() == whole


def test_memory_is_bounded_when_answers_wait_for_a_slow_way_back(tmp_path: Path) -> None:
    receiver = Receiver(Store(tmp_path))
    sender = Speaker(receiver)
    sender.say(Announce(1, SIZE, DIGEST, "a.helio"))
    for number in range(3 * MAX_PENDING // 1400):  # and nothing is taken from it
        sender.say(Data(1, 1400 * number, bytes(1400)))
        assert sum(len(data) for _, data in receiver._open[1].pending) <= MAX_PENDING + 1400


def test_packets_of_pictures_that_never_come_take_bounded_memory_and_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "MOST_HELD", 100_000)
    monkeypatch.setattr("heliograph.link.one_way.receiver.SLACK", 50_000)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    receiver, coder, draw = OneWayReceiver(Store(tmp_path)), FrameCoder(), random.Random(1)
    most = 0
    for number in range(1500):
        made = packet.Packet(draw.randrange(65536), number, packet.WHOLE, 0, 200, draw.randbytes(1000))
        receiver.receive(coder.encode(bytes([PACKET]) + packet.write(made)), 0.0)
        if number % 20 == 0:
            receiver.close()
            most = max(most, sum(path.stat().st_size for path in tmp_path.rglob("*")))
    assert receiver._collector.held <= 100_000
    assert 100_000 < most <= 2 * 100_000 + 50_000 + 20 * 1100
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
