"""One packet: ten bytes around what it carries of a picture's layers (PACKETS.md, section 1)."""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass

from crc32c import crc32c

from heliograph.errors import PacketError
from heliograph.packets.erasure import PLACES

LEAST_BYTES, MOST_BYTES = 24, 1400
PICTURES = 1 << 28  # picture numbers a device has in its life
HEAD_BYTES, CHECK_BYTES, TAG_BYTES = 8, 2, 8
WIDTHS = (
    1,
    2,
    3,
    4,
    6,
    8,
    12,
    16,
    24,
    32,
    48,
    64,
    96,
    128,
    192,
)  # of the first layer's piece; the last code: all
WHOLE = len(WIDTHS)
KEY_PURPOSE = "heliograph packets 1"  # what the key of tags is derived for (LINK.md, section 5)
_HEAD = struct.Struct("<HIBB")
_CHECK = struct.Struct("<H")


@dataclass(frozen=True)
class Packet:
    """What a packet says.

    Attributes:
        device: 0 to 65535, see `device_number`.
        picture: 0 to 2^28 - 1.
        width_code: which of WIDTHS the piece of the first layer has; WHOLE if it is all that is carried.
        place: in the erasure code, 0 to 254.
        needed: packets that give the first layer, 1 to 255.
        pieces: one of each layer, one after the other.
    """

    device: int
    picture: int
    width_code: int
    place: int
    needed: int
    pieces: bytes


def device_number(name: str) -> int:
    """Return the number that stands for a device's name."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:2], "little")


def carried(size: int, key: bytes | None) -> int:
    """Return how many bytes of pieces a packet of so many bytes carries; PacketError unless 24 to 1400."""
    if not LEAST_BYTES <= size <= MOST_BYTES:
        raise PacketError(
            f"packets of {size} bytes, expected {LEAST_BYTES} to {MOST_BYTES}; give another size"
        )
    return size - HEAD_BYTES - (CHECK_BYTES if key is None else TAG_BYTES)


def write(packet: Packet, key: bytes | None = None) -> bytes:
    """Return a packet's bytes; with a key of 32 bytes they end in a tag instead of a CRC."""
    number = packet.picture | packet.width_code << 28
    core = _HEAD.pack(packet.device, number, packet.place, packet.needed) + packet.pieces
    return core + _check(core, key)


def read(data: bytes, key: bytes | None = None) -> Packet | None:
    """Return what a packet says; None if it is none, damaged, or made with another key or without one."""
    if not LEAST_BYTES <= len(data) <= MOST_BYTES:
        return None
    end = len(data) - (CHECK_BYTES if key is None else TAG_BYTES)
    core = data[:end]
    if not hmac.compare_digest(data[end:], _check(core, key)):
        return None
    device, number, place, needed = _HEAD.unpack_from(core)
    packet = Packet(device, number & PICTURES - 1, number >> 28, place, needed, core[HEAD_BYTES:])
    width = len(packet.pieces) if packet.width_code == WHOLE else WIDTHS[packet.width_code]
    if place >= PLACES or not needed or width > len(packet.pieces):
        return None
    return packet


def _check(core: bytes, key: bytes | None) -> bytes:
    if key is None:
        return _CHECK.pack(crc32c(core) & 0xFFFF)
    return hmac.digest(key, core, "sha256")[:TAG_BYTES]
