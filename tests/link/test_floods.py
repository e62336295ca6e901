"""What a hostile sender without a key may cost: bounded work, memory and disk for each byte on the line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.link.hostile import Speaker

from heliograph.link.one_way.arriving import MAX_HEADER
from heliograph.link.one_way.bodies import Description, Piece
from heliograph.link.one_way.frames import PLAIN, source_of
from heliograph.link.one_way.receiver import OneWayReceiver
from heliograph.link.transfer.partial import MAX_RUNS, Partial
from heliograph.link.transfer.patience import LAST_PAUSE
from heliograph.link.transfer.receiver import MAX_PENDING, Receiver
from heliograph.link.transfer.store import Store
from heliograph.link.wire import messages
from heliograph.link.wire.frames import FrameCoder
from heliograph.link.wire.messages import Announce, Data, Have
from heliograph.link.wire.proofs import proof_of, witness_of

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


def one_way(receiver: OneWayReceiver, *bodies: Description | Piece) -> None:
    for body in bodies:
        receiver.receive(FrameCoder().encode(bytes([PLAIN]) + source_of("cam") + body.to_bytes()), 0.0)


def test_runs_of_one_byte_cost_no_more_than_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = Partial.write

    def noted(partial: Partial, offset: int, data: bytes) -> bool:
        written.append(len(data))
        return write(partial, offset, data)

    monkeypatch.setattr(Partial, "write", noted)
    receiver = OneWayReceiver(Store(tmp_path))
    one_way(receiver, Description("a.helio", "cam", SIZE, DIGEST, b""))
    most = 0
    for first in range(1, 30_000, 1200):  # every second byte, behind a hole at 0
        runs = tuple((at, b"x") for at in range(first, first + 1200, 2))
        one_way(receiver, Piece(DIGEST[:4], runs[:340]), Piece(DIGEST[:4], runs[340:]))
        (arriving,) = receiver._open.values()
        most = max(most, len(arriving._runs), len(arriving._there))
        receiver.close()
    assert most <= 2 * MAX_RUNS + 1
    assert arriving.held_back <= MAX_RUNS
    assert not written  # nothing serves a decoder before the hole is filled


def test_what_is_held_back_is_joined_and_bounded(tmp_path: Path) -> None:
    receiver = OneWayReceiver(Store(tmp_path))
    whole = bytes(n % 251 for n in range(40_000))
    digest = hashlib.sha256(whole).digest()
    one_way(receiver, Description("a.helio", "cam", len(whole), digest, b""))
    for first in range(1, len(whole), 400):
        runs = tuple((at, whole[at : at + 1]) for at in range(first, min(first + 400, len(whole))))
        one_way(receiver, Piece(digest[:4], runs))
    (arriving,) = receiver._open.values()
    assert len(arriving._runs) <= 2 * MAX_RUNS + 400
    receiver.close()
    assert len(arriving._runs) == 1
    assert arriving.held_back == len(whole) - 1
    one_way(receiver, Piece(digest[:4], ((0, whole[:300]),)))
    receiver.close()
    assert (tmp_path / "cam/a.helio").read_bytes() == whole


def test_the_header_of_a_growing_stream_is_not_read_for_ever(tmp_path: Path, reads: list[int]) -> None:
    """Bytes that begin as a header that never ends: only their first are looked at."""
    receiver = OneWayReceiver(Store(tmp_path))
    one_way(receiver, Description("a.helio", "cam", SIZE, DIGEST, b"HLO\x01" + bytes(8) + b"\xff\x3f"))
    for at in range(14, 200_000, 4000):
        for start in range(at, at + 4000, 2000):
            one_way(receiver, Piece(DIGEST[:4], ((start, b"\x7f" * 2000),)))
        receiver.close()
    assert max(reads) <= MAX_HEADER
    assert len(reads) <= MAX_HEADER // 4000 + 1
