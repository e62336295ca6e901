"""A word back: how many packets more a receiver wants of a picture (PACKETS.md, section 5)."""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass

from crc32c import crc32c

from heliograph.packets.packet import PICTURES, TAG_BYTES

_BODY = struct.Struct("<IB")
_DEVICE = struct.Struct("<H")


@dataclass(frozen=True)
class Word:
    """So many packets more of a picture, 1 to 255; `picture` is the number of one of its parts."""

    picture: int
    count: int


def write(word: Word, device: int, key: bytes | None = None) -> bytes:
    """Return a word's 6 bytes for a device; 13 with a key."""
    body = _BODY.pack(word.picture, word.count)
    return body + _check(device, body, key)


def read(data: bytes, device: int, key: bytes | None = None) -> Word | None:
    """Return what a word says to a device; None if it is none, or for another."""
    body = data[: _BODY.size]
    if len(body) < _BODY.size or not hmac.compare_digest(data[_BODY.size :], _check(device, body, key)):
        return None
    picture, count = _BODY.unpack(body)
    return Word(picture, count) if picture < PICTURES and count else None


def _check(device: int, body: bytes, key: bytes | None) -> bytes:
    said = _DEVICE.pack(device) + body
    return hmac.digest(key, said, "sha256")[:TAG_BYTES] if key else bytes([crc32c(said) & 0xFF])
