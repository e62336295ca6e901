"""The plan of a picture's packets: its layers, and how many packets give each (PACKETS.md, section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from itertools import pairwise

from heliograph.codec.varint import read_varint, varint
from heliograph.packets.packet import PICTURES, WHOLE, WIDTHS

MOST_LAYERS = 16
MOST_PARTS = 255
MOST_STREAM = 1 << 26
MOST_LABEL = 160
_PARTS, _LABEL, _RESERVED = 1 << 4, 1 << 5, 0xC0
_CRC = struct.Struct("<I")


@dataclass(frozen=True)
class Layer:
    """Some bytes of a stream in packets: `needed` of them give it, each of which carries `width` bytes of it."""

    needed: int
    width: int


@dataclass(frozen=True)
class Plan:
    """How a stream lies in packets; all parts of one have the same but for `part`.

    Attributes:
        size: bytes of the stream.
        crc: CRC-32C of the stream.
        layers: 1 to 16, from the most protected one; no `needed` is below the one before it.
        part, parts: which of how many that a stream of more than 255 packets has; part n takes the n-th number from the
            picture's.
        label: ASCII that says which stream it is, at most 160 characters; or nothing.
    """

    size: int
    crc: int
    layers: tuple[Layer, ...]
    part: int = 0
    parts: int = 1
    label: str = ""

    def to_bytes(self) -> bytes:
        """Return what the first layer begins with."""
        flags = len(self.layers) - 1 | (_PARTS if self.parts > 1 else 0) | (_LABEL if self.label else 0)
        out = varint(self.size) + bytes([flags]) + _CRC.pack(self.crc)
        out += bytes(layer.needed for layer in self.layers[1:])
        out += b"".join(varint(layer.width) for layer in self.layers[1:-1])
        if self.parts > 1:
            out += bytes([self.part, self.parts])
        return out + (bytes([len(self.label)]) + self.label.encode("ascii") if self.label else b"")

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Where each layer's bytes begin and end in the stream."""
        edges = [0]
        for number, layer in enumerate(self.layers):
            room = layer.needed * layer.width - (0 if number else len(self.to_bytes()))
            edges.append(min(edges[-1] + room * self.parts, self.size))
        return list(pairwise(edges))

    def of_part(self, part: int) -> Plan:
        """Return the plan of another part."""
        return replace(self, part=part)

    def share(self, number: int) -> tuple[int, int]:
        """Return where the bytes of a layer begin and end in the stream that this part has."""
        start, end = self.spans[number]
        layer = self.layers[number]
        room = layer.needed * layer.width - (0 if number else len(self.to_bytes()))
        return min(start + self.part * room, end), min(start + (self.part + 1) * room, end)

    def is_legal(self) -> bool:
        """Whether a receiver takes it: its values are in range and all of the stream has room."""
        needed = [layer.needed for layer in self.layers]
        return (
            1 <= self.size <= MOST_STREAM
            and 0 <= self.part < self.parts <= MOST_PARTS
            and all(a <= b for a, b in pairwise([1, *needed, 255]))
            and all(layer.width >= 1 for layer in self.layers)
            and self.layers[0].needed * self.layers[0].width >= len(self.to_bytes())
            and self.spans[-1][1] == self.size
            and all(start < end for start, end in self.spans)
        )


def read(data: bytes, needed: int, width_code: int, carried: int) -> Plan | None:
    """Return the plan that a first layer begins with; None if there is none that is legal.

    Args:
        needed, width_code: as every packet of the picture says.
        carried: bytes of pieces in each packet.
    """
    try:
        return _read(data, needed, width_code, carried)
    except (ValueError, IndexError, struct.error):
        return None


def _read(data: bytes, needed: int, width_code: int, carried: int) -> Plan | None:
    size, at = read_varint(data, 0)
    flags = data[at]
    (crc,) = _CRC.unpack_from(data, at + 1)
    at += 1 + _CRC.size
    more = flags & MOST_LAYERS - 1
    if flags & _RESERVED or (more == 0) != (width_code == WHOLE):
        return None
    needs = [needed, *data[at : at + more]]
    at += more
    widths = [carried if width_code == WHOLE else WIDTHS[width_code]]
    for _ in range(more - 1):
        width, at = read_varint(data, at)
        widths.append(width)
    if more:
        widths.append(carried - sum(widths))
    part, parts = 0, 1
    if flags & _PARTS:
        part, parts = data[at], data[at + 1]
        at += 2
    label = b""
    if flags & _LABEL:
        label = data[at + 1 : at + 1 + data[at]]
        if not 1 <= data[at] <= MOST_LABEL or len(label) != data[at]:
            return None
    text = label.decode("ascii")
    layers = tuple(Layer(n, w) for n, w in zip(needs, widths, strict=True))
    plan = Plan(size, crc, layers, part, parts, text)
    is_right = plan.is_legal() and (parts > 1) == bool(flags & _PARTS) and text.isprintable()
    return plan if is_right else None


def last_number(picture: int, plan: Plan) -> int:
    """Return the number of a picture's last part; ValueError if the device has no such number."""
    last = picture + plan.parts - 1
    if not 0 <= picture <= last < PICTURES:
        raise ValueError(f"picture {picture} with {plan.parts} parts, expected numbers below {PICTURES}")
    return last
