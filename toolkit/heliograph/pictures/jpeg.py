"""How much of a JPEG file is its picture: Pillow shows grey, or other places, for what is cut, overwritten or lost.

libjpeg only warns of that, and Pillow says nothing. So the codes of the file are read once more, by the C extension
`_jpeg`, which takes about the time that decoding takes; where that was not built, damage is not seen.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import IO

from heliograph.errors import PictureError
from heliograph.srgb import doubts

MOST_LOST = 1 / 16  # of a picture that is taken with a warning
_MOST_SCANS = 256  # whose codes are read; encoders make ten
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_TABLES, _START, _END, _SCAN, _INTERVAL = 0xC4, 0xD8, 0xD9, 0xDA, 0xDD
_TABLE = 272  # bytes of a table: 16 counts, 256 symbols


@cache
def _walker() -> ModuleType | None:
    try:
        from heliograph import _jpeg  # type: ignore[attr-defined, unused-ignore]
    except ImportError:
        return None
    return _jpeg  # type: ignore[no-any-return, unused-ignore]


@dataclass(frozen=True)
class Component:
    """A colour: blocks of it in an MCU, across and down, and its masks' place among those of all."""

    across: int
    down: int
    columns: int
    rows: int
    stride: int
    offset: int


@dataclass(frozen=True)
class Scan:
    """Entropy-coded data.

    Attributes:
        parts: what it has codes of: (a component's id, its tables' numbers as one byte).
        first, last: coefficients.
        high, low: bits, of the scan before and of this one.
        tables: as they are here, four for means and four for the rest.
        begin, end: where it lies.
    """

    parts: tuple[tuple[int, int], ...]
    first: int
    last: int
    high: int
    low: int
    tables: bytes
    interval: int
    begin: int
    end: int


@dataclass
class Frame:
    """What a file's markers say."""

    kind: int = 0
    columns: int = 0  # of MCUs
    rows: int = 0
    components: dict[int, Component] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)
    has_end: bool = False

    @property
    def blocks(self) -> int:
        return sum(c.stride * self.rows * c.down for c in self.components.values())


def check(file: IO[bytes]) -> None:
    """Warn of a damaged JPEG file.

    Raises:
        PictureError: more than MOST_LOST of the picture is not there.
    """
    file.seek(0)
    data = file.read()
    try:
        frame = _frame(data)
        lost = _lost(data, frame)
    except (struct.error, LookupError, ValueError, ArithmeticError):
        return  # Pillow has read it, so these are kinds of files that this module does not know
    if lost > MOST_LOST:
        raise PictureError(
            f"{lost:.0%} of the picture is missing or overwritten in its file; copy it again from where it was taken"
        )
    if lost:
        doubts.warn(f"damaged JPEG data: about {max(lost, 0.001):.1%} of the picture may be wrong")
    elif not frame.has_end:
        doubts.warn("the JPEG file has no end marker, though its picture is whole")
    elif frame.kind == _PROGRESSIVE and not _is_complete(frame):
        doubts.warn("scans of the progressive JPEG file are missing: the picture is coarser than it was")


def _frame(data: bytes) -> Frame:
    frame, at = Frame(), 2
    tables, interval = bytearray(8 * _TABLE), 0
    while at + 4 <= len(data):
        if data[at] != 0xFF:  # garbage between segments, which a decoder passes over too
            at = data.find(b"\xff", at)
            if at < 0:
                break
            continue
        marker = data[at + 1]
        if marker in (0xFF, 0, 1, _START, *range(0xD0, 0xD8)):
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _END:
            break
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        if marker in (*_SEQUENTIAL, _PROGRESSIVE) and not frame.kind:
            _read_sizes(frame, marker, body)
        elif marker == _TABLES:
            _read_tables(tables, body)
        elif marker == _INTERVAL:
            (interval,) = struct.unpack_from(">H", body)
        elif marker == _SCAN:
            begin = at + 2 + length
            at = _end_of_scan(data, begin)
            parts = tuple((body[1 + 2 * n], body[2 + 2 * n]) for n in range(body[0]))
            first, last, bits = body[1 + 2 * len(parts) : 4 + 2 * len(parts)]
            scan = Scan(parts, first, last, bits >> 4, bits & 15, bytes(tables), interval, begin, at)
            frame.scans.append(scan)
            continue
        at += 2 + length
    frame.has_end = data[at : at + 2] == b"\xff\xd9"
    return frame


def _end_of_scan(data: bytes, at: int) -> int:
    """Return where the first marker is that is none of a scan's own."""
    while (at := data.find(b"\xff", at)) >= 0:
        if (
            at + 1 < len(data)
            and data[at + 1] != 0xFF
            and data[at + 1] != 0
            and not 0xD0 <= data[at + 1] <= 0xD7
        ):
            return at
        at += 1 if data[at + 1 : at + 2] == b"\xff" else 2
    return len(data)


def _read_sizes(frame: Frame, kind: int, body: bytes) -> None:
    height, width, count = struct.unpack_from(">HHB", body, 1)
    sampling = {body[6 + 3 * n]: (body[7 + 3 * n] >> 4, body[7 + 3 * n] & 15) for n in range(count)}
    most_across, most_down = max(h for h, _ in sampling.values()), max(v for _, v in sampling.values())
    frame.kind = kind
    frame.columns, frame.rows = -(-width // (8 * most_across)), -(-height // (8 * most_down))
    offset = 0
    for name, (across, down) in sampling.items():
        columns, rows = -(-width * across // (8 * most_across)), -(-height * down // (8 * most_down))
        stride = frame.columns * across
        frame.components[name] = Component(across, down, columns, rows, stride, offset)
        offset += stride * frame.rows * down


def _read_tables(tables: bytearray, body: bytes) -> None:
    while body:
        kind, number, count = body[0] >> 4, body[0] & 3, sum(body[1:17])
        at = _TABLE * (4 * (kind & 1) + number)
        tables[at : at + _TABLE] = body[1 : 17 + count].ljust(_TABLE, b"\0")[:_TABLE]
        body = body[17 + count :]


def _lost(data: bytes, frame: Frame) -> float:
    """Return the share of a picture that is not in its file, or not as it was written, about."""
    walker = _walker()
    if walker is None or not frame.components or len(frame.scans) > _MOST_SCANS:
        return 0.0
    masks = bytearray(8 * frame.blocks)
    worst, too_many, size = 0.0, 0, 0
    for scan in frame.scans:
        shape = b"".join(_shape(frame.components[name], tables) for name, tables in scan.parts)
        units, lost, spoilt, extra = walker.walk(
            data[scan.begin : scan.end],
            scan.tables,
            shape,
            masks,
            frame.columns,
            frame.rows,
            scan.interval,
            scan.first,
            scan.last,
            scan.high,
            int(frame.kind == _PROGRESSIVE),
        )
        worst = max(worst, (lost + spoilt) / units)
        too_many += extra
        size += scan.end - scan.begin
    return max(worst, too_many / max(1, size))


def _shape(part: Component, tables: int) -> bytes:
    """Return a component as the extension takes it."""
    numbers = (
        part.across,
        part.down,
        part.columns,
        part.rows,
        tables >> 4,
        tables & 15,
        part.stride,
        part.offset,
    )
    return struct.pack("=8i", *numbers)


def _is_complete(frame: Frame) -> bool:
    """Return whether all bits of all coefficients of a progressive file are in a scan."""
    lowest = {name: [15] * 64 for name in frame.components}
    for scan in frame.scans:
        for name, _ in scan.parts:
            for n in range(scan.first, min(scan.last, 63) + 1):
                lowest[name][n] = min(lowest[name][n], scan.low)
    return not any(any(bits) for bits in lowest.values())
