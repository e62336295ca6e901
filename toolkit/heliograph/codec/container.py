"""The .helio container: a checked header and segments in order of worth (FORMAT.md, sections 2 and 3).

A small stream has the short form: one payload, and one CRC behind it. It is whole, or it is nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from crc32c import crc32c

from heliograph.codec import header as headers
from heliograph.codec.header import MAGIC as MAGIC
from heliograph.codec.header import MAX_DEPTH as MAX_DEPTH
from heliograph.codec.header import MAX_SCALE as MAX_SCALE
from heliograph.codec.header import Header as Header
from heliograph.codec.header import Referred as Referred
from heliograph.codec.header import claimed_size as claimed_size
from heliograph.codec.varint import Cut, read_varint, varint
from heliograph.errors import StreamError

CRC_BYTES = 4
MAX_SHORT = 16_383  # bytes of the short form's payload
MAX_SHORT_POSITIONS = 4096


@dataclass(frozen=True)
class Stream:
    """A stream whose header was parsed and checked; its segments are checked as they are taken.

    Attributes:
        data: the stream's bytes, as many as there are of them.
        size: bytes of the header, of the short form those before its payload.
        crc: CRC-32C of the header, which every segment's begins with; the short form's is of all and was checked.
        segments: the place of every segment, (first byte, payload length), layer by layer.
        total: bytes that the header announces.
        before: the streams it builds on, the oldest first, where they came in one file with it (see `chain`).
    """

    header: Header
    data: bytes = field(repr=False)
    size: int
    crc: int
    segments: tuple[tuple[int, int], ...] = field(repr=False)
    total: int
    before: tuple[Stream, ...] = field(default=(), repr=False)

    def check_whole(self) -> None:
        """Raise StreamError unless the bytes are exactly as many as the header announces."""
        size = len(self.data)
        if size != self.total:
            is_cut = size < self.total
            what = "is cut" if is_cut else "has bytes added"
            way = "decode what is there with --partial, or " if is_cut else ""
            raise StreamError(
                f"stream {what}: got {size} bytes, its header announces {self.total}; "
                f"{way}fetch the file again"
            )

    def segment(self, number: int) -> bytes | None:
        """Return the payload of a segment, checked; None if it is damaged; EOFError if it is not all there."""
        at, length = self.segments[number]
        if not length:
            return b""
        if at + length + CRC_BYTES > len(self.data):
            raise EOFError
        payload = self.data[at : at + length]
        if self.header.is_short:
            return payload
        (expected,) = struct.unpack_from("<I", self.data, at + length)
        return payload if segment_crc(self.crc, number, payload) == expected else None

    def rest(self, number: int) -> bytes:
        """Return the bytes there are of a segment's payload, unchecked."""
        at, length = self.segments[number]
        return self.data[at : at + length]


def segment_crc(header_crc: int, number: int, payload: bytes) -> int:
    """Return the CRC-32C that binds a payload to its place in its stream."""
    return crc32c(payload, crc32c(struct.pack("<II", header_crc, number)))


def pack(header: Header, segments: list[bytes]) -> bytes:
    """Return the bytes of a stream; `segments` by layers, in each by slices; empty where all is zero."""
    headers.check(header)
    if len(segments) != header.parts * header.slice_count:
        raise ValueError(f"{len(segments)} segments for {header!r}")
    if header.is_short and (problem := _not_short(header, len(segments[0]))):
        raise ValueError(f"the short form {problem}")
    head = headers.write(header)
    head += b"".join(varint(len(s)) for s in segments)
    if header.is_short:
        body = head + segments[0]
        return body + struct.pack("<I", crc32c(body))
    crc = crc32c(head)
    out = [head, struct.pack("<I", crc)]
    for number, payload in enumerate(segments):
        if payload:
            out += [payload, struct.pack("<I", segment_crc(crc, number, payload))]
    return b"".join(out)


def open(data: bytes) -> Stream:
    """Parse and check a header; no segment is read and nothing is allocated for the picture.

    Raises:
        StreamError: not a .helio stream, another version, cut in its header, or corrupt.
    """
    headers.check_kind(data)
    try:
        return _parse(data)
    except Cut:
        raise StreamError(
            f"stream is cut in its header: got {len(data)} bytes, nothing can be decoded; "
            "fetch the file again"
        ) from None
    except ValueError as error:
        raise StreamError(f"stream header is corrupt: {error}; fetch the file again") from None


def _parse(data: bytes) -> Stream:
    header, at = headers.read(data)
    if header.is_short:
        return _parse_short(header, data, at)
    count = header.parts * header.slice_count
    if len(data) - at < count:  # every length takes a byte at least
        raise Cut
    lengths = []
    for _ in range(count):
        length, at = read_varint(data, at)
        lengths.append(length)
    if len(data) - at < CRC_BYTES:
        raise Cut
    (expected,) = struct.unpack_from("<I", data, at)
    crc = crc32c(data[:at])
    if crc != expected:
        raise StreamError(
            f"stream header is corrupt: CRC-32C is {crc:08x}, expected {expected:08x}; fetch the file again"
        )
    at += CRC_BYTES
    places, size = [], at
    for length in lengths:
        places.append((at, length))
        at += length + CRC_BYTES if length else 0
    return Stream(header, data, size, crc, tuple(places), at)


def _not_short(header: Header, length: int) -> str:
    """Return why a header and a payload cannot have the short form; empty if they can."""
    rows, columns = header.latent_shape
    if header.parts != 1 or header.side:
        return "has one part and no slices"
    if rows * columns > MAX_SHORT_POSITIONS:
        return f"has {rows * columns} positions, expected at most {MAX_SHORT_POSITIONS}"
    return f"has {length} bytes, expected at most {MAX_SHORT}" if length > MAX_SHORT else ""


def _parse_short(header: Header, data: bytes, at: int) -> Stream:
    """Return the stream of a short form whose length is at a byte; all of it has to be there."""
    length, at = read_varint(data, at)
    if problem := _not_short(header, length):
        raise ValueError(f"the short form {problem}")
    end = at + length
    if len(data) < end + CRC_BYTES:
        raise StreamError(
            f"stream is cut: got {len(data)} bytes, its header announces {end + CRC_BYTES}; one as small as this is "
            "all or nothing; fetch the file again"
        )
    (expected,) = struct.unpack_from("<I", data, end)
    crc = crc32c(data[:end])
    if crc != expected:
        raise ValueError(f"CRC-32C of the stream is {crc:08x}, expected {expected:08x}")
    return Stream(header, data, at, crc, ((at, length),), end + CRC_BYTES)
