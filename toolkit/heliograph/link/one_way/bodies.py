"""The bodies of one-way frames (LINK.md, section 6)."""

from __future__ import annotations

import hashlib

from heliograph.codec.varint import varint
from heliograph.link.one_way.cutting import Run, pack_runs

PLAIN, KEYED = 0x20, 0x21
PICTURE, PIECE = 0x01, 0x02
SOURCE_BYTES = STREAM_BYTES = 4
KEY_INFO = "heliograph link 1 beacon"  # for keys.derive


def source_of(device: str) -> bytes:
    """Return the 4 bytes that stand for a device in a frame."""
    return hashlib.sha256(device.encode("ascii")).digest()[:SOURCE_BYTES]


def picture_body(name: str, device: str, size: int, digest: bytes, head: bytes) -> bytes:
    """Return the description of a stream, with the first bytes of it."""
    texts = b"".join(bytes([len(text)]) + text.encode("ascii") for text in (name, device))
    return bytes([PICTURE]) + varint(size) + digest + texts + head


def piece_body(digest: bytes, runs: list[Run]) -> bytes:
    """Return runs of a stream's bytes."""
    return bytes([PIECE]) + digest[:STREAM_BYTES] + pack_runs(runs)
