"""Numbers in streams and on the link: base 128, low 7 bits first, 1 to 4 bytes (FORMAT.md, section 3)."""

from __future__ import annotations

LIMIT = 1 << 28


class Cut(ValueError):
    """The bytes end before what they announce."""


def varint(value: int) -> bytes:
    """Return the bytes of a number; ValueError outside 0 to LIMIT - 1."""
    if not 0 <= value < LIMIT:
        raise ValueError(f"{value} does not fit a varint, expected 0 to {LIMIT - 1}")
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a byte, and where it ends; Cut, or ValueError if not in its shortest form."""
    value = 0
    for shift in (0, 7, 14, 21):
        if at >= len(data):
            raise Cut("the bytes end within a number")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if byte == 0 and shift:
                break
            return value, at
    raise ValueError("a number is not in its shortest form")
