"""Sessions: only the two ends of one handshake understand each other, and nothing recorded is taken again."""

from __future__ import annotations

import struct

import pytest

from heliograph.link.wire import session
from heliograph.link.wire.messages import Ping
from heliograph.link.wire.session import Initiator, Packet, Refused, Responder, Trouble, Welcomed

KEY, OTHER = bytes(32), bytes([1]) * 32
pytest.importorskip("cryptography")


def connect(key: bytes | None) -> tuple[Initiator, Responder]:
    sender, receiver = Initiator("cam", key), Responder(key)
    welcome, trouble, _ = receiver.take(sender.hello)
    assert welcome is not None
    assert trouble is None
    assert isinstance(sender.take(welcome), Welcomed)
    return sender, receiver


@pytest.mark.parametrize("key", [None, KEY])
def test_packets_go_both_ways(key: bytes | None) -> None:
    sender, receiver = connect(key)
    for counter in range(3):
        _, found, is_new = receiver.take(sender.pack(Ping()))
        assert found == Packet(counter, Ping())
        assert is_new == (counter == 0)
        assert sender.take(receiver.pack(Ping())) == Packet(counter, Ping())
    assert receiver.device == "cam"


@pytest.mark.parametrize(
    ("ours", "theirs", "reason", "said"),
    [
        (None, KEY, 2, "it has no key, and this receiver takes keyed devices only"),
        (KEY, None, 3, "it has a key, and this receiver none"),
        (KEY, OTHER, 4, "its key is not the one here"),
    ],
)
def test_other_keys_are_refused_and_said(
    ours: bytes | None, theirs: bytes | None, reason: int, said: str
) -> None:
    sender, receiver = Initiator("cam", ours), Responder(theirs)
    answer, trouble, _ = receiver.take(sender.hello)
    assert isinstance(trouble, Trouble)
    assert said in trouble.reason
    assert "device cam refused" in trouble.reason
    assert answer is not None
    found = sender.take(answer)
    assert isinstance(found, Refused)
    assert found.reason == reason
    assert not sender.is_open


def test_a_packet_does_not_come_twice() -> None:
    for key in (None, KEY):
        sender, receiver = connect(key)
        packets = [sender.pack(Ping()) for _ in range(3)]
        assert isinstance(receiver.take(packets[1])[1], Packet)
        for old in packets[:2]:
            _, found, _ = receiver.take(old)
            assert isinstance(found, Trouble)
            assert "came again" in found.reason
        assert isinstance(receiver.take(packets[2])[1], Packet)


def test_a_recorded_session_is_of_no_use() -> None:
    sender, receiver = connect(KEY)
    recorded = [sender.hello, *(sender.pack(Ping()) for _ in range(3))]
    for frame in recorded[1:]:
        receiver.take(frame)
    for victim in (receiver, Responder(KEY)):  # the same process, and one started anew
        for frame in recorded:
            _, found, is_new = victim.take(frame)
            assert not isinstance(found, Packet)
            assert not is_new
    # The session that was there goes on, whatever was played.
    assert isinstance(receiver.take(sender.pack(Ping()))[1], Packet)


def test_each_flipped_bit_of_a_sealed_packet_is_refused() -> None:
    sender, receiver = connect(KEY)
    packet = sender.pack(Ping())
    for bit in range(8 * len(packet)):
        forged = bytearray(packet)
        forged[bit // 8] ^= 1 << bit % 8
        assert not isinstance(receiver.take(bytes(forged))[1], Packet), bit
    assert isinstance(receiver.take(packet)[1], Packet)


def test_plain_packets_are_not_taken_in_a_keyed_session_nor_the_other_way_round() -> None:
    for key, kind in ((KEY, session.UP), (None, session.UP + 1)):
        sender, receiver = connect(key)
        receiver.take(sender.pack(Ping()))
        number = sender.pack(Ping())[1:3]
        forged = bytes([kind]) + number + (9).to_bytes(4, "little") + Ping().to_bytes() + bytes(16)
        _, found, _ = receiver.take(forged)
        assert isinstance(found, Trouble)
        assert "mode" in found.reason


def test_a_forged_welcome_is_not_taken() -> None:
    sender, receiver = Initiator("cam", KEY), Responder(KEY)
    welcome = receiver.take(sender.hello)[0]
    assert welcome is not None
    forged = welcome[:20] + bytes([welcome[20] ^ 1]) + welcome[21:]
    found = sender.take(forged)
    assert isinstance(found, Trouble)
    assert "not made with this key file" in found.reason
    other = Initiator("cam", KEY)
    assert other.take(welcome) is None  # of another hello
    assert isinstance(sender.take(welcome), Welcomed)


def test_a_plain_welcome_does_not_open_a_keyed_sender() -> None:
    sender = Initiator("cam", KEY)
    nonce = sender.hello[3:19]
    plain = session.welcome_body(sender.hello, nonce, bytes(16), 7, None)
    assert isinstance(sender.take(plain), Trouble)
    assert not sender.is_open


@pytest.mark.parametrize("name", [b"../x", b".x", b"a/b", b"", b"a" * 33, b"\xff", b"a\0b"])
def test_illegal_device_names_are_not_welcomed(name: bytes) -> None:
    hello = bytes([1, 1, 0]) + bytes(16) + bytes([len(name)]) + name
    answer, trouble, _ = Responder(None).take(hello)
    assert answer is None
    assert trouble == Trouble("a hello with an illegal device name")


def test_a_hello_of_a_later_version_is_refused() -> None:
    sender = Initiator("cam", None)
    answer, trouble, _ = Responder(None).take(bytes([1, 9]) + sender.hello[2:])
    assert isinstance(trouble, Trouble)
    assert "speaks version 9 of the link, expected 1" in trouble.reason
    assert answer is not None
    assert answer[2] == 1


def test_unknown_sessions_are_told_and_reset_the_sender() -> None:
    sender, _ = connect(None)
    answer, found, _ = Responder(None).take(sender.pack(Ping()))
    assert found is None
    assert answer is not None
    assert isinstance(sender.take(answer), session.Reset)


def test_sessions_that_do_not_begin_are_few() -> None:
    receiver = Responder(KEY)
    for _ in range(session.MAX_PENDING + 50):
        receiver.take(Initiator("cam", KEY).hello)
    assert len(receiver._pending) == len(receiver._numbers) == session.MAX_PENDING


@pytest.mark.parametrize("key", [None, KEY])
def test_hellos_of_others_end_neither_a_session_nor_one_that_is_about_to_begin(key: bytes | None) -> None:
    recorded = [Initiator("cam", key).hello for _ in range(session.MAX_PENDING - 1)]
    sender, receiver = connect(key)
    for hello in recorded * 2:
        receiver.take(hello)
    assert receiver.take(sender.pack(Ping())) == (None, Packet(0, Ping()), True)
    for hello in recorded * 2:
        receiver.take(hello)
    assert receiver.take(sender.pack(Ping())) == (None, Packet(1, Ping()), False)
    # Nor do packets of a session that never was.
    taken = {*receiver._numbers, receiver._current.number if receiver._current else -1}
    none = next(number for number in range(1 << 16) if number not in taken)
    answer = receiver.take(struct.pack("<BHI", 0x10, none, 0) + Ping().to_bytes())
    assert answer == (struct.pack("<BH", 0x04, none), None, False)
    assert receiver.take(sender.pack(Ping())) == (None, Packet(2, Ping()), False)


def test_no_two_sessions_in_sight_have_one_number() -> None:
    receiver, senders = Responder(None), [Initiator("cam", None) for _ in range(session.MAX_PENDING)]
    for sender in senders:
        welcome = receiver.take(sender.hello)[0]
        assert welcome is not None
        sender.take(welcome)
    assert len({sender._session.number for sender in senders if sender._session}) == session.MAX_PENDING
    for sender in senders:  # each takes over in turn
        assert receiver.take(sender.pack(Ping())) == (None, Packet(0, Ping()), True)
    assert not receiver._pending
    assert not receiver._numbers
