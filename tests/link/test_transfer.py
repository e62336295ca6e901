"""Transfers over a simulated line in virtual time: whatever the line does, each stream arrives once and whole."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.link.events import Event
from heliograph.link.simulate.line import Faults, Line, run
from heliograph.link.transfer import outgoing
from heliograph.link.transfer.outgoing import base_end
from heliograph.link.transfer.receiver import Receiver
from heliograph.link.transfer.sender import Sender
from heliograph.link.transfer.store import Store
from heliograph.link.wire import messages, session
from heliograph.link.wire.frames import FrameCoder, FrameDecoder
from heliograph.link.wire.proofs import proof_of, witness_of

KEY = bytes(range(32))
Make = Callable[..., Any]


class Recorder:
    """An end whose messages are kept; plain sessions only."""

    def __init__(self, end: Any) -> None:
        self.end = end
        self.said: list[messages.Message | None] = []
        self._decoder = FrameDecoder(FrameCoder())

    def send(self, now: float) -> bytes:
        data: bytes = self.end.send(now)
        for body in self._decoder.feed(data):
            if isinstance(body, bytes) and body[0] in (0x10, 0x12):
                self.said.append(messages.parse(body[7:]))
        return data

    def receive(self, data: bytes, now: float) -> None:
        self.end.receive(data, now)

    def deadline(self) -> float:
        return self.end.deadline()  # type: ignore[no-any-return]

    def disconnected(self, now: float) -> None:
        self.end.disconnected(now)

    def take_events(self) -> list[Event]:
        return self.end.take_events()  # type: ignore[no-any-return]


def lines(baud: int, seed: int, faults: Faults | None = None, delay: float = 0.0) -> tuple[Line, Line]:
    return (
        Line(baud, delay=delay, faults=faults, seed=2 * seed),
        Line(baud, delay=delay, faults=faults, seed=2 * seed + 1),
    )


def finish(spool: Any, ends: Any, line: tuple[Line, Line], *, limit: float, start: float = 0.0) -> float:
    return run(ends, line, start=start, until=limit, is_over=lambda now: not spool.streams)


def check_folder(folder: Path, expected: dict[str, bytes]) -> None:
    found = {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}
    assert found == expected
    ledger = [line.split()[2] for line in (folder / ".received").read_text().splitlines()]
    assert sorted(ledger) == sorted(expected)  # each once


@pytest.mark.parametrize("key", [None, KEY])
def test_a_clean_line_carries_little_more_than_the_streams(
    tmp_path: Path, make_spool: Make, key: bytes | None
) -> None:
    spool = make_spool(20, (3000, 2000, 3000))
    sent = dict(spool.streams)
    line = lines(115200, 0)
    store = Store(tmp_path)
    seconds = finish(spool, (Sender(spool, "cam", key=key), Receiver(store, key=key)), line, limit=60)
    check_folder(tmp_path / "cam", sent)
    size = sum(map(len, sent.values()))
    assert size * 10 / 115200 / seconds >= (0.92 if key is None else 0.90)
    assert line[0].carried < 1.06 * size
    assert line[1].carried < 0.06 * size


def test_base_layers_of_all_go_before_refinements_of_any(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(12)
    streams = dict(spool.streams)
    sender = Recorder(Sender(spool, "cam"))
    finish(spool, (sender, Receiver(Store(tmp_path))), lines(115200, 0), limit=60)
    names = {m.number: m.name for m in sender.said if isinstance(m, messages.Announce)}
    data = [m for m in sender.said if isinstance(m, messages.Data)]
    is_base = [m.offset < base_end(streams[names[m.number]]) for m in data]
    assert is_base == sorted(is_base, reverse=True)
    assert all(
        m.offset + len(m.data) <= base_end(streams[names[m.number]])
        for m, b in zip(data, is_base, strict=True)
        if b
    )
    order = [names[m.number] for m, b in zip(data, is_base, strict=True) if b]
    assert order == sorted(order)  # oldest first
    assert sum(is_base) >= 12


def test_base_end_of_other_bytes_is_their_end(make_spool: Make) -> None:
    (data,) = make_spool(1).streams.values()
    assert len(data) > base_end(data) > 400
    for other in (b"no stream", data[:-1], data + b"x", b""):
        assert base_end(other) == len(other)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_line_does_and_whoever_dies(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, make_spool: Make, no_sync: Make
) -> None:
    folder = tmp_path_factory.mktemp("out")
    draw = data.draw
    faults = Faults(
        bit_error=draw(st.sampled_from([0, 1e-5, 1e-4, 5e-4])),
        byte_loss=draw(st.sampled_from([0, 1e-4, 1e-3])),
        burst=draw(st.sampled_from([0, 1e-4])),
        write_loss=draw(st.sampled_from([0, 0.05, 0.3])),
    )
    baud = draw(st.sampled_from([9600, 57600, 115200, 921600]))
    key = draw(st.sampled_from([None, KEY]))
    seed = draw(st.integers(0, 1000))
    line = lines(baud, seed, faults, draw(st.sampled_from([0.0, 0.05, 0.6])))
    spool = make_spool(4, (200, 300, 500), seed)
    sent = dict(spool.streams)
    with no_sync():
        store = Store(folder)
        sender, receiver = Sender(spool, "cam", key=key), Receiver(store, key=key)
        now = 0.0
        for victim in draw(st.lists(st.sampled_from(["sender", "receiver", "both", "cut"]), max_size=6)):
            now = finish(spool, (sender, receiver), line, start=now, limit=now + draw(st.floats(0.1, 4.0)))
            # Acknowledged bytes are on the disk: another receiver finds them there.
            held = {s.name: list(s.held) for s in sender._waiting._streams.values()}
            if victim in ("sender", "both"):
                sender = Sender(spool, "cam", key=key)
            if victim in ("receiver", "both"):
                store.close()  # as the system does with a killed process; nothing is flushed
                store = Store(folder)
                shelf = store.shelf("cam")
                assert shelf is not None or not any(held.values())
                for name, ranges in held.items():
                    if shelf is not None and shelf.holds(name) is None:
                        stream = sent[name]
                        found = shelf.open(name, len(stream), hashlib.sha256(stream).digest())
                        assert all(found.held.covers(a, b) for a, b in ranges)
                receiver = Receiver(store, key=key)
            if victim == "cut":
                for direction in line:
                    direction.cut()
                now = run((sender, receiver), line, start=now, until=now + draw(st.floats(0.5, 90.0)))
                for direction in line:
                    direction.mend()
        finish(spool, (sender, receiver), line, start=now, limit=now + 4000)
        store.close()
    assert not spool.streams
    check_folder(folder / "cam", sent)


def test_a_restarted_sender_goes_on_where_it_was(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(1, (20000, 20000))
    (stream,) = spool.streams.values()
    store = Store(tmp_path)
    receiver, line = Receiver(store), lines(115200, 3)
    now = finish(spool, (Sender(spool, "cam"), receiver), line, limit=2.0)
    again = Recorder(Sender(spool, "cam"))
    finish(spool, (again, receiver), line, start=now, limit=60)
    sent = sum(len(m.data) for m in again.said if isinstance(m, messages.Data))
    assert 0 < sent < len(stream) - 2.0 * 11520 * 0.6
    assert not spool.streams


def test_a_confirmation_that_was_lost_is_asked_for(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(1)
    sent = dict(spool.streams)
    receiver = Receiver(Store(tmp_path))
    line = lines(115200, 3)
    now = run(
        (Sender(spool, "cam"), receiver), line, until=5, is_over=lambda now: any(tmp_path.glob("cam/*.helio"))
    )
    assert spool.streams  # whole at the receiver, and the sender dies before it knows
    (path,) = tmp_path.glob("cam/*.helio")
    path.rename(tmp_path / "taken away")
    for direction in line:
        direction.cut()
        direction.mend()
    sender = Recorder(Sender(spool, "cam"))
    finish(spool, (sender, receiver), line, start=now, limit=now + 30)
    assert not spool.streams
    assert not [m for m in sender.said if isinstance(m, messages.Data)]
    assert not list(tmp_path.glob("cam/*.helio"))
    assert (tmp_path / "taken away").read_bytes() in sent.values()


@pytest.mark.parametrize("cached", [True, False])
def test_a_stream_that_is_thinned_on_the_way_is_not_mixed(
    tmp_path: Path, make_spool: Make, cached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from heliograph.codec.thin import thin

    if not cached:
        monkeypatch.setattr(outgoing, "MAX_CACHED", 0)
    spool = make_spool(3, (3000, 9000, 9000))
    full = dict(spool.streams)
    ends, line = (Sender(spool, "cam"), Receiver(Store(tmp_path))), lines(115200, 5)
    now = finish(spool, ends, line, limit=2.0)
    assert len(spool.streams) == 3
    thinned = {name: thin(data, 2) for name, data in spool.streams.items()}
    spool.streams = dict(thinned)
    finish(spool, ends, line, start=now, limit=60)
    assert not spool.streams
    found = {p.name: p.read_bytes() for p in tmp_path.glob("cam/*.helio")}
    assert set(found) == set(full)
    for name, data in found.items():
        assert data in (full[name], thinned[name])
    assert not list(tmp_path.glob("cam/*.partial")) + list(tmp_path.glob("cam/*.state"))
    if not cached:
        assert thinned[max(thinned)] == found[max(found)]


def test_a_held_other_version_is_kept_and_ours_beside_it_if_it_is_unknown(
    tmp_path: Path, make_spool: Make
) -> None:
    spool = make_spool(1)
    (name, data), *_ = spool.streams.items()
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam" / name).write_bytes(data)  # the version that the name's hash is of
    spool.streams[name] = make_spool(1, (300,)).streams.popitem()[1]
    ends = Sender(spool, "cam", key=KEY), Receiver(Store(tmp_path), key=KEY)
    finish(spool, ends, lines(115200, 5), limit=60)
    assert not spool.streams
    assert list(tmp_path.glob("cam/*.helio")) == [tmp_path / "cam" / name]
    assert (tmp_path / "cam" / name).read_bytes() == data  # fuller, and known to be the same picture

    other = Path(str(tmp_path) + "-2")
    (other / "cam").mkdir(parents=True)
    (other / "cam" / name).write_bytes(b"something else")
    spool.streams[name] = data
    finish(spool, (Sender(spool, "cam"), Receiver(Store(other))), lines(115200, 5), limit=60)
    assert not spool.streams
    assert (other / "cam" / name).read_bytes() == b"something else"
    apart = f"{name.removesuffix('.helio')}.{hashlib.sha256(data).hexdigest()[:8]}.helio"
    assert (other / "cam" / apart).read_bytes() == data


def test_without_a_key_a_name_proves_nothing_and_a_thinner_stream_is_kept_too(
    tmp_path: Path, make_spool: Make
) -> None:
    spool = make_spool(1)
    (name, data), *_ = spool.streams.items()
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam" / name).write_bytes(data)
    spool.streams[name] = thinner = make_spool(1, (300,)).streams.popitem()[1]
    finish(spool, (Sender(spool, "cam"), Receiver(Store(tmp_path))), lines(115200, 5), limit=60)
    assert not spool.streams
    assert sorted(path.read_bytes() for path in tmp_path.glob("cam/*.helio")) == sorted([data, thinner])


def connected(spool: Any, folder: Path) -> tuple[Sender, Receiver]:
    """Return ends with a session, in which the first stream was announced and nothing answered."""
    sender, receiver = Sender(spool, "cam"), Receiver(Store(folder))
    receiver.receive(sender.send(0.0), 0.0)
    sender.receive(receiver.send(0.0), 0.0)
    sender.send(0.0)
    assert 1 in sender._numbers
    return sender, receiver


def test_forged_confirmations_delete_nothing(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(1)
    ((name, data),) = spool.streams.items()
    digest, old = hashlib.sha256(data).digest(), connected(spool, tmp_path / "old")[0]._session.nonce
    sender, _ = connected(spool, tmp_path)
    half = sender._session._session
    assert half is not None
    witness, nonce = witness_of(data), sender._session.nonce
    forged = [
        messages.Done(1, digest, bytes(16)),
        messages.Done(1, digest, proof_of(digest, nonce)),  # who has seen the announcement
        messages.Done(1, digest, proof_of(witness, old)),  # who has seen another session
        messages.Done(1, digest[:4] + bytes(28), bytes(16)),  # whose digits are those of the name
    ]
    other_end = session._Half(half.number, None, None, up=False)
    for message in [*forged, messages.Done(1, digest, proof_of(witness, nonce))]:
        assert list(spool.streams) == [name]
        sender.receive(FrameCoder().encode(other_end.pack(message)), 1.0)
    assert not spool.streams
    assert [event.what for event in sender.take_events()] == ["connected", "suspect", "sent"]


def test_a_stream_that_is_dropped_on_the_way_stops_nothing(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(4, (3000, 9000))
    full = dict(spool.streams)
    ends, line = (Sender(spool, "cam"), Receiver(Store(tmp_path))), lines(115200, 5)
    now = finish(spool, ends, line, limit=1.0)
    oldest = min(spool.streams)
    del spool.streams[oldest]
    finish(spool, ends, line, start=now, limit=60)
    assert {p.name for p in tmp_path.glob("cam/*.helio")} == set(full) - {oldest}


def test_a_name_that_is_too_long_is_told_with_the_limit_and_left(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(2)
    long = "a" * 91 + ".helio"
    spool.streams[long] = b"of a name of 97 characters"
    sender = Sender(spool, "cam")
    run((sender, Receiver(Store(tmp_path))), lines(115200, 5), until=5)
    assert list(spool.streams) == [long]
    (told,) = (event.details for event in sender.take_events() if event.what == "skipped")
    assert told["name"] == long
    assert "up to 96 letters, digits" in told["reason"]


def test_new_streams_come_first_with_their_base(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(2, (500, 60000))
    sender, line = Recorder(Sender(spool, "cam")), lines(115200, 1)
    ends = (sender, Receiver(Store(tmp_path)))
    now = finish(spool, ends, line, limit=3.0)
    late = make_spool(1, (500, 600), seed=9).streams
    spool.streams |= {name.replace("20260101", "20270101"): data for name, data in late.items()}
    sender.said.clear()
    run(ends, line, start=now, until=now + 1.9)
    numbers = [m.number for m in sender.said if isinstance(m, messages.Announce)]
    assert (
        next(m.offset for m in sender.said if isinstance(m, messages.Data) and m.number == numbers[-1]) == 0
    )
    assert len(spool.streams) == 3  # while the old ones are still on their way


def test_hostile_messages_leave_no_trace(tmp_path: Path) -> None:
    from heliograph.link.wire.session import Initiator

    receiver, sender = Receiver(Store(tmp_path)), Initiator("cam", None)
    coder = FrameCoder()
    decoder = FrameDecoder(coder)
    receiver.receive(coder.encode(sender.hello), 0.0)
    (welcome,) = decoder.feed(receiver.send(0.0))
    assert isinstance(welcome, bytes)
    sender.take(welcome)
    digest = bytes(32)
    hostile: list[messages.Message] = [
        messages.Announce(1, 1 << 27, digest, "a.helio"),  # larger than is taken
        messages.Announce(2, 100, digest, "b.helio"),
        messages.Data(2, 95, b"beyond the end"),
        messages.Data(3, 0, b"of nothing announced"),
        messages.Have(2, ((0, 100),)),
        messages.Done(2, digest, bytes(16)),
    ]
    for message in hostile:
        receiver.receive(coder.encode(sender.pack(message)), 0.0)
    raw = sender._session
    assert raw is not None
    for name in (
        b"../../etc/passwd.helio",
        b"/abs.helio",
        b".received",
        b"x.helio/../../y.helio",
        b"a\0.helio",
    ):
        body = bytes([1, 0, 5, 9]) + digest + name
        head = b"\x10" + raw.number.to_bytes(2, "little") + (100 + len(name)).to_bytes(4, "little")
        receiver.receive(coder.encode(head + body), 0.0)
    receiver.close()
    answers = []
    while data := receiver.send(1.0):
        answers += [messages.parse(body[7:]) for body in decoder.feed(data) if isinstance(body, bytes)]
    assert messages.Reject(1, messages.REJECTED_SIZE) in answers
    assert messages.Have(2, ()) in answers
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_empty_yet_is_told_of_once_and_sent_when_it_is_filled(
    tmp_path: Path, make_spool: Make
) -> None:
    spool = make_spool(2)
    name, whole = min(spool.streams.items())
    spool.streams[name] = b""
    sender, receiver = Sender(spool, "cam"), Receiver(Store(tmp_path))

    def fill(now: float) -> bool:
        if now > 10 and spool.streams.get(name) == b"":
            spool.streams[name] = whole
        return False

    run((sender, receiver), lines(115200, 1), until=30, is_over=fill)
    told = [event.what for event in sender.take_events()]
    assert (told.count("skipped"), told.count("sent")) == (1, 2)
    assert not spool.streams


def test_with_a_key_too_many_open_streams_are_waited_for(
    tmp_path: Path, make_spool: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.link.transfer.receiver.MAX_OPEN", 1)
    spool = make_spool(3, (3000, 2000, 3000))
    run((Sender(spool, "cam", key=KEY), Receiver(Store(tmp_path), key=KEY)), lines(115200, 1), until=120)
    assert not spool.streams


def test_bytes_that_never_match_their_hash_are_given_up(tmp_path: Path, make_spool: Make) -> None:
    spool = make_spool(2)
    wrong = min(spool.streams)
    sender = Sender(spool, "cam")
    sender._refresh()
    stream = sender._waiting.get(wrong)
    assert stream is not None
    stream.digest = bytes(32)
    run((sender, Receiver(Store(tmp_path))), lines(115200, 1), until=30)
    told = {event.what: event.details for event in sender.take_events()}
    assert told["rejected"]["name"] == wrong
    assert list(spool.streams) == [wrong]
    assert not list(tmp_path.glob("cam/*.partial"))


@pytest.mark.parametrize("key", [None, KEY])
def test_with_a_key_they_are_set_aside_and_without_one_tried_again_ever_more_seldom(
    tmp_path: Path, make_spool: Make, key: bytes | None
) -> None:
    spool, times = make_spool(1), []
    sender = Sender(spool, "cam", key=key)
    sender._refresh()
    stream = sender._waiting.get(min(spool.streams))
    assert stream is not None
    stream.digest = bytes(32)

    def look(now: float) -> bool:
        if sender.rejection is not None:
            times.append(now)
            assert sender.rejection == messages.REJECTED_HASH
            sender.rejection = None
        return False

    run((sender, Receiver(Store(tmp_path), key=key)), lines(115200, 1), until=1000, is_over=look)
    gaps = [round(after - before, -1) for before, after in pairwise(times)]
    # After 300 s the receiver takes it again, and sees again that it does not match.
    assert gaps == ([] if key else [10, 20, 40, 80, 160] * 3 + [10, 20])
    assert len(times) == len(gaps) + 1
    assert sender.is_empty == (key is not None)
    assert sender.is_paused == (key is None)


class Forger:
    """A sender on whose line somebody says something again and again, until a time: that its session is unknown."""

    def __init__(self, sender: Sender, until: float = 1e9) -> None:
        self.sender, self._coder, self._until = sender, FrameCoder(), until

    def say(self, session: session._Half) -> bytes:
        return b"\x04" + session.number.to_bytes(2, "little")

    def receive(self, data: bytes, now: float) -> None:
        self.sender.receive(data, now)
        if now < self._until and (session := self.sender._session._session) is not None:
            self.sender.receive(self._coder.encode(self.say(session)), now)

    def send(self, now: float) -> bytes:
        return self.sender.send(now)

    def deadline(self) -> float:
        return self.sender.deadline()

    def disconnected(self, now: float) -> None:
        self.sender.disconnected(now)

    def take_events(self) -> list[Event]:
        return self.sender.take_events()


class Rejecter(Forger):
    """One on whose line somebody rejects all that it may have announced, in turn and for good."""

    number = 0

    def say(self, session: session._Half) -> bytes:
        self.number = self.number % 5 + 1
        reject = messages.Reject(self.number, messages.REJECTED_HASH).to_bytes()
        return struct.pack("<BHI", 0x12, session.number, session._least) + reject


@pytest.mark.parametrize("key", [None, KEY])
def test_what_somebody_rejects_is_sent_all_the_same(
    tmp_path: Path, make_spool: Make, key: bytes | None
) -> None:
    spool = make_spool(5, (3000, 2000, 3000))
    sent = dict(spool.streams)
    forger = Rejecter(Sender(spool, "cam", key=key), until=10)
    finish(spool, (forger, Receiver(Store(tmp_path), key=key)), lines(9600, 0), limit=300)
    assert not spool.streams
    check_folder(tmp_path / "cam", sent)
    assert ("rejected" in {event.what for event in forger.take_events()}) == (key is None)


@pytest.mark.parametrize("key", [None, KEY])
def test_that_the_session_is_unknown_counts_only_in_silence(
    tmp_path: Path, make_spool: Make, key: bytes | None
) -> None:
    undisturbed = make_spool(20, (3000, 2000, 3000))
    undisturbed_ends = Sender(undisturbed, "cam", key=key), Receiver(Store(tmp_path / "undisturbed"), key=key)
    finish(undisturbed, undisturbed_ends, lines(115200, 0), limit=8)
    spool = make_spool(20, (3000, 2000, 3000))
    store, line = Store(tmp_path), lines(115200, 0)
    forger = Forger(Sender(spool, "cam", key=key))
    now = finish(spool, (forger, Receiver(store, key=key)), line, limit=8)
    assert spool.streams.keys() == undisturbed.streams.keys()
    assert 0 < len(spool.streams) < 20
    assert [e.what for e in forger.take_events()].count("connected") == 1
    seconds = finish(spool, (forger, Receiver(store, key=key)), line, start=now, limit=now + 60) - now
    assert not spool.streams
    assert seconds < 12  # another receiver: the session is indeed unknown, and a new one begins soon
    assert {e.what for e in forger.take_events()} == {"reset", "connected", "sent"}


def test_noise_alone_does_nothing(tmp_path: Path) -> None:
    receiver = Receiver(Store(tmp_path))
    draw = random.Random(0)
    for n in range(300):
        receiver.receive(draw.randbytes(500), n / 10)
        assert receiver.send(n / 10) == b""
    assert {event.what for event in receiver.take_events()} == {"noise"}
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_two_hundred_streams_with_deaths_and_cuts(
    tmp_path: Path, make_spool: Make, no_sync: Make, seed: int
) -> None:
    draw = random.Random(seed)
    spool = make_spool(200, (800, 1200, 2000), seed)
    sent = dict(spool.streams)
    line = lines(115200, seed, Faults(bit_error=5e-5, byte_loss=1e-5, burst=2e-5), 0.05)
    with no_sync():
        store, now = Store(tmp_path), 0.0
        ends: list[Any] = [Sender(spool, "cam"), Receiver(store)]
        for _ in range(50):
            now = finish(spool, tuple(ends), line, start=now, limit=now + draw.uniform(0, 3))
            for direction in line:
                direction.cut()
            now = run((ends[0], ends[1]), line, start=now, until=now + draw.uniform(0, 3))
            for direction in line:
                direction.mend()
            if draw.random() < 0.5:
                ends[0] = Sender(spool, "cam")
            if draw.random() < 0.5:
                store.close()
                store = Store(tmp_path)
                ends[1] = Receiver(store)
        finish(spool, tuple(ends), line, start=now, limit=now + 4000)
    assert not spool.streams
    check_folder(tmp_path / "cam", sent)
