"""Frames of a one-way line: packets there, words back (LINK.md, section 6)."""

from __future__ import annotations

from heliograph.link.wire import keys
from heliograph.packets.packet import KEY_PURPOSE

PACKET, WORD = 0x20, 0x21


def packet_key(key: bytes | None) -> bytes | None:
    """Return the key of packets' tags, of the 32 bytes of a key file; None without one."""
    return None if key is None else keys.derive(key, b"", KEY_PURPOSE)


def label_of(device: str, name: str) -> str:
    """Return what a packet's label says of a stream: whose it is, and its name without `.helio`."""
    return f"{device}/{name.removesuffix('.helio')}"
