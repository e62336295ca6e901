"""The .helio container, version 1: a checked header and one payload. All integers little-endian.

    offset  size  field
    0       3     magic, "HLO"
    3       1     version, 1
    4       8     codec id
    12      2     width in pixels, 1..65535
    14      2     height in pixels, 1..65535
    16      1     quality, 0..100
    17      1     log2 of the number of rANS lanes, 0..6
    18      4     payload length in bytes
    22      n     payload: rANS states, words, escape bits
    22+n    4     CRC-32C of all bytes before it
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from crc32c import crc32c

from heliograph.codec import tiles
from heliograph.codec.rate import QUALITIES
from heliograph.errors import PictureError, StreamError

MAGIC = b"HLO"
VERSION = 1
_HEADER = struct.Struct("<3sB8sHHBBI")
HEADER_BYTES = _HEADER.size
CRC_BYTES = 4
_LANES = {1 << i for i in range(7)}


@dataclass(frozen=True)
class Stream:
    """A parsed .helio stream; `codec_id` is 8 bytes, `payload` is not yet decoded."""

    codec_id: bytes
    width: int
    height: int
    quality: int
    lanes: int
    payload: bytes


def pack(stream: Stream) -> bytes:
    """Return the bytes of a stream; ValueError where a field is outside its range."""
    if len(stream.codec_id) != 8 or not 0 <= stream.quality < QUALITIES or stream.lanes not in _LANES:
        raise ValueError(f"field out of range in {stream!r}")
    tiles.check_size(stream.width, stream.height)
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        stream.codec_id,
        stream.width,
        stream.height,
        stream.quality,
        stream.lanes.bit_length() - 1,
        len(stream.payload),
    )
    body = header + stream.payload
    return body + struct.pack("<I", crc32c(body))




def unpack(data: bytes) -> Stream:
    """Parse and check a stream; its payload is not decoded and nothing is allocated for the picture.

    Raises:
        StreamError: not a .helio stream, another version, cut, corrupt, or a field out of range.
    """
    if data[:3] != MAGIC[: len(data[:3])] or not data:
        raise StreamError(f"not a .helio stream: it starts with {data[:3]!r}, expected {MAGIC!r}; check the file")
    if len(data) < HEADER_BYTES + CRC_BYTES:
        raise StreamError(
            f"stream is cut: got {len(data)} bytes, a header and its check need "
            f"{HEADER_BYTES + CRC_BYTES}; fetch the file again"
        )
    _, version, codec_id, width, height, quality, log_lanes, length = _HEADER.unpack_from(data)
    if version != VERSION:
        raise StreamError(
            f"stream has format version {version}, this program reads {VERSION}; update heliograph"
        )
    try:
        tiles.check_size(width, height)
    except PictureError as error:
        raise StreamError(f"stream header is corrupt: {error}") from None
    if len(data) != HEADER_BYTES + length + CRC_BYTES:
        raise StreamError(
            f"stream is cut or has bytes added: got {len(data)} bytes, its header announces "
            f"{HEADER_BYTES + length + CRC_BYTES}; fetch the file again"
        )
    (expected,) = struct.unpack_from("<I", data, len(data) - CRC_BYTES)
    found = crc32c(data[:-CRC_BYTES])
    if found != expected:
        raise StreamError(
            f"stream is corrupt: CRC-32C is {found:08x}, expected {expected:08x}; fetch the file again"
        )
    if quality >= QUALITIES or log_lanes > 6:
        raise StreamError(
            f"stream header is out of range: quality {quality} (0 to 100), lanes 2^{log_lanes} (0 to 6); "
            "it was made by a faulty encoder"
        )
    return Stream(codec_id, width, height, quality, 1 << log_lanes, data[HEADER_BYTES:-CRC_BYTES])
