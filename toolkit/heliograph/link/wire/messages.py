"""What packets say, to the byte (LINK.md, section 3). Sans-IO; parsing gives None for all that is illegal."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from heliograph.codec.varint import read_varint, varint
from heliograph.link.wire.names import MAX_STREAM, is_stream
from heliograph.link.wire.proofs import PROOF_BYTES

Range = tuple[int, int]  # first, one after the last
HASH_BYTES = 32
MAX_RANGES = 64  # in one message; what is left out is sent again, which does no harm
PICTURE_ID_BYTES = 8
ANNOUNCE, DATA, GONE, PING, LOST = 0x01, 0x02, 0x03, 0x04, 0x05
HAVE, DONE, ACK, REJECT, WANT = 0x81, 0x82, 0x83, 0x84, 0x85
REJECTED_SIZE, REJECTED_MANY, REJECTED_HASH, REJECTED_NOW = 1, 2, 3, 4
REJECTIONS = {
    REJECTED_SIZE: "the stream is larger than the receiver takes",
    REJECTED_MANY: "the receiver has too many streams open",
    REJECTED_HASH: "the bytes never matched the announced SHA-256",
    REJECTED_NOW: "the receiver cannot keep it now: no room on its disk or in a quota, or no folder for this device",
}


@dataclass(frozen=True)
class Announce:
    """A stream that waits: `number` names it in this session; `another`: it is another picture than what is held."""

    number: int
    size: int
    digest: bytes
    name: str
    another: bool = False

    def to_bytes(self) -> bytes:
        head = bytes([ANNOUNCE, int(self.another)]) + varint(self.number) + varint(self.size)
        return head + self.digest + self.name.encode("ascii")


@dataclass(frozen=True)
class Data:
    """Bytes of an announced stream from `offset` on."""

    number: int
    offset: int
    data: bytes

    def to_bytes(self) -> bytes:
        return bytes([DATA]) + varint(self.number) + varint(self.offset) + self.data


@dataclass(frozen=True)
class Gone:
    """An announced stream left the spool; nothing more of it will come."""

    number: int

    def to_bytes(self) -> bytes:
        return bytes([GONE]) + varint(self.number)


@dataclass(frozen=True)
class Ping:
    """Asks for an acknowledgement."""

    def to_bytes(self) -> bytes:
        return bytes([PING])


@dataclass(frozen=True)
class Lost:
    """The sender does not have the stream of a picture any more that the receiver wants, and will not refer to it."""

    picture_id: bytes

    def to_bytes(self) -> bytes:
        return bytes([LOST]) + self.picture_id


@dataclass(frozen=True)
class Have:
    """Answer to an announcement: the bytes of it that are on the receiver's disk."""

    number: int
    ranges: tuple[Range, ...]

    def to_bytes(self) -> bytes:
        out, at = bytearray([HAVE]) + varint(self.number), 0
        for start, stop in self.ranges[:MAX_RANGES]:
            out += varint(start - at) + varint(stop - start)
            at = stop
        return bytes(out)


@dataclass(frozen=True)
class Done:
    """A whole stream is on the receiver's disk for the announced name, with this SHA-256, and he can prove it."""

    number: int
    digest: bytes
    proof: bytes

    def to_bytes(self) -> bytes:
        return bytes([DONE]) + varint(self.number) + self.digest + self.proof


@dataclass(frozen=True)
class Ack:
    """Packets that arrived and whose effects are on disk, highest range first; lower ones not in it were lost."""

    ranges: tuple[Range, ...]  # [first, one after the last)

    def to_bytes(self) -> bytes:
        out = bytearray([ACK])
        low = None
        for start, stop in self.ranges[:MAX_RANGES]:
            out += struct.pack("<I", stop - 1) if low is None else varint(low - stop)
            out += varint(stop - start - 1)
            low = start
        return bytes(out)


@dataclass(frozen=True)
class Reject:
    """The receiver will not take an announced stream; see REJECTIONS."""

    number: int
    reason: int

    def to_bytes(self) -> bytes:
        return bytes([REJECT]) + varint(self.number) + bytes([self.reason])


@dataclass(frozen=True)
class Want:
    """A stream that was received refers to a picture whose stream the receiver does not have: it should come again."""

    picture_id: bytes

    def to_bytes(self) -> bytes:
        return bytes([WANT]) + self.picture_id


Message = Announce | Data | Gone | Ping | Lost | Have | Done | Ack | Reject | Want


class Illegal(ValueError):
    """Bytes that no sender of this protocol writes."""


def parse(data: bytes) -> Message | None:
    """Return a message, or None if the bytes are none."""
    try:
        return _parse(data)
    except ValueError:  # Illegal, or what is no number and no ASCII
        return None


def _parse(data: bytes) -> Message:
    if not data:
        raise Illegal("empty")
    kind = data[0]
    if kind == PING:
        return _exactly(data, 1, Ping())
    if kind == ACK:
        return _parse_ack(data)
    if kind in (LOST, WANT):
        named = Lost(data[1:]) if kind == LOST else Want(data[1:])
        return _exactly(data, 1 + PICTURE_ID_BYTES, named)
    if kind == ANNOUNCE:
        if len(data) < 2 or data[1] > 1:
            raise Illegal("reserved bits")
        number, at = read_varint(data, 2)
        size, at = read_varint(data, at)
        digest, name = data[at : at + HASH_BYTES], data[at + HASH_BYTES :].decode("ascii")
        if not is_stream(name):
            raise Illegal("name")
        if not size:
            raise Illegal("an empty stream")
        return Announce(number, size, digest, name, bool(data[1]))
    number, at = read_varint(data, 1)
    if kind == DATA:
        offset, at = read_varint(data, at)
        if at == len(data):
            raise Illegal("no bytes")
        return Data(number, offset, data[at:])
    if kind == GONE:
        return _exactly(data, at, Gone(number))
    if kind == DONE:
        end = at + HASH_BYTES
        return _exactly(data, end + PROOF_BYTES, Done(number, data[at:end], data[end:]))
    if kind == REJECT:
        message = Reject(number, data[at] if at < len(data) else 0)
        if message.reason not in REJECTIONS:
            raise Illegal("reason")
        return _exactly(data, at + 1, message)
    if kind == HAVE:
        return _parse_have(data, number, at)
    raise Illegal("kind")


def _exactly(data: bytes, size: int, message: Message) -> Message:
    if len(data) != size:
        raise Illegal("length")
    return message


def _parse_have(data: bytes, number: int, at: int) -> Have:
    ranges: list[Range] = []
    end = 0
    while at < len(data):
        gap, at = read_varint(data, at)
        length, at = read_varint(data, at)
        if not length or (ranges and not gap) or len(ranges) == MAX_RANGES:
            raise Illegal("ranges")
        ranges.append((end + gap, end + gap + length))
        end += gap + length
    if end > MAX_STREAM:
        raise Illegal("ranges")
    return Have(number, tuple(ranges))


def _parse_ack(data: bytes) -> Ack:
    if len(data) < 5:
        raise Illegal("cut")
    (largest,) = struct.unpack_from("<I", data, 1)
    length, at = read_varint(data, 5)
    start = largest - length
    ranges = [(start, largest + 1)]
    while at < len(data):
        gap, at = read_varint(data, at)
        length, at = read_varint(data, at)
        if not gap or len(ranges) == MAX_RANGES:
            raise Illegal("ranges")
        stop = start - gap
        start = stop - length - 1
        ranges.append((start, stop))
    if start < 0:
        raise Illegal("ranges")
    return Ack(tuple(ranges))
