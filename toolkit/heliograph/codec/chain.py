"""Chain files: a stream behind all that it builds on, so that it decodes anywhere (FORMAT.md, section 10)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace

from crc32c import crc32c

from heliograph.codec import container
from heliograph.codec.varint import Cut, read_varint, varint
from heliograph.errors import StreamError

MAGIC = b"HLC"
VERSION = 2
MAX_STREAMS = container.MAX_DEPTH + 1
_FIRST = MAGIC + bytes([VERSION])


def pack(streams: Sequence[bytes]) -> bytes:
    """Return the chain file of whole streams, the first without a reference, each other referring to the one before.

    Raises:
        StreamError: they are no streams, not whole, or no chain.
    """
    opened = [container.open(data) for data in streams]
    for stream in opened:
        stream.check_whole()
    _check(opened)
    head = _FIRST + varint(len(streams)) + b"".join(varint(len(data)) for data in streams)
    return b"".join([head, struct.pack("<I", crc32c(head)), *streams])


def open(data: bytes) -> container.Stream:
    """Parse a stream, or the last of a chain file with the earlier ones in `before`; see `container.open`.

    Raises:
        StreamError: neither; or a chain file of another version, cut before its last stream, or corrupt.
    """
    if data[:3] != MAGIC:
        return container.open(data)
    if data[3:4] not in (b"", _FIRST[3:]):
        raise StreamError(
            f"chain file has format version {data[3]}, this program reads {VERSION}; update heliograph"
        )
    try:
        at, lengths = _parse(data)
    except Cut:
        raise StreamError(
            f"chain file is cut in its header: got {len(data)} bytes, nothing can be decoded; "
            "fetch the file again"
        ) from None
    except ValueError as error:
        raise StreamError(f"chain file is corrupt: {error}; fetch the file again") from None
    before = []
    for length in lengths[:-1]:
        stream = container.open(data[at : at + length])
        stream.check_whole()
        before.append(stream)
        at += length
    last = container.open(data[at:])
    if last.total != lengths[-1]:
        raise StreamError(
            f"chain file is corrupt: its last stream has {last.total} bytes, its header says {lengths[-1]}; "
            "fetch the file again"
        )
    _check([*before, last])
    return replace(last, before=tuple(before))


def _parse(data: bytes) -> tuple[int, list[int]]:
    """Return where the first stream begins, and the length of each."""
    count, at = read_varint(data, len(_FIRST))
    if not 1 <= count <= MAX_STREAMS:
        raise ValueError(f"it has {count} streams, expected 1 to {MAX_STREAMS}")
    lengths = []
    for _ in range(count):
        length, at = read_varint(data, at)
        lengths.append(length)
    if len(data) - at < container.CRC_BYTES:
        raise Cut
    (expected,) = struct.unpack_from("<I", data, at)
    if (crc := crc32c(data[:at])) != expected:
        raise ValueError(f"CRC-32C of its header is {crc:08x}, expected {expected:08x}")
    return at + container.CRC_BYTES, lengths


def _check(streams: Sequence[container.Stream]) -> None:
    """Raise StreamError unless the first refers to nothing, all others to a picture, and all are alike."""
    first = streams[0].header
    for number, stream in enumerate(streams):
        header = stream.header
        if header.kind != first.kind or (header.reference is None) != (number == 0):
            raise StreamError(
                f"chain file is corrupt: stream {number} of {len(streams)} does not follow from the one before it; "
                "fetch the file again"
            )
