"""Which of a TIFF file's directories is the picture: cameras put a small copy first, and their raw data behind it."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from heliograph.errors import PictureError

_MOST_DIRECTORIES = 256
_MOST_VALUES = 1024  # of a tag that is looked at
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # whole numbers, and places in the file
_KIND, _OLD_KIND, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC = 254, 255, 256, 257, 258, 262
_ORIENTATION, _INSIDE, _BLACK_LEVEL, _WHITE_LEVEL = 274, 330, 50714, 50717
_TAGS = {
    _KIND,
    _OLD_KIND,
    _WIDTH,
    _HEIGHT,
    _BITS,
    _PHOTOMETRIC,
    _ORIENTATION,
    _INSIDE,
    _BLACK_LEVEL,
    _WHITE_LEVEL,
}
_SENSOR = {32803, 34892}  # photometric: colour filters, and what was made of them without a camera's colours
_CANON = b"CR"  # at byte 8 of a CR2 file, none of whose directories says what it is


@dataclass(frozen=True)
class Directory:
    """A picture of a TIFF file: where its tags are, and those that are looked at."""

    offset: int
    tags: dict[int, tuple[int, ...]]

    def number(self, tag: int, default: int = 0) -> int:
        """Return the first number of a tag, or what it is if it is left out."""
        return (*self.tags.get(tag, ()), default)[0]

    @property
    def size(self) -> tuple[int, int]:
        return self.number(_WIDTH), self.number(_HEIGHT)

    @property
    def is_reduced(self) -> bool:
        """Whether it says of itself that it is a smaller copy of another, or a mask over one."""
        return bool(self.number(_KIND) & 5) or self.number(_OLD_KIND) == 2

    @property
    def is_raw(self) -> bool:
        """Whether its samples are a sensor's and no colours yet."""
        bits = self.number(_BITS, 1)
        return (
            self.number(_PHOTOMETRIC) in _SENSOR
            or self.number(_WHITE_LEVEL, (1 << bits) - 1) != (1 << bits) - 1
            or any(self.tags.get(_BLACK_LEVEL, ()))
        )

    def __str__(self) -> str:
        return "{}x{}".format(*self.size)


@dataclass(frozen=True)
class Chosen:
    """The picture of a TIFF file.

    Attributes:
        file: where Pillow finds it first.
        orientation: how it is to be turned, beyond what its own directory says; 1 is not at all.
        bits: of its samples.
    """

    file: IO[bytes]
    orientation: int
    bits: int


def is_tiff(start: bytes) -> bool:
    """Return whether a file that begins so is a TIFF file, or a BigTIFF one."""
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def choose(file: IO[bytes]) -> Chosen | None:
    """Return the full picture of a TIFF file; None of one whose directories cannot be read.

    Raises:
        PictureError: there is none but a reduced copy, or the full picture is a camera's raw data.
    """
    try:
        found = list(_directories(file))
    except (struct.error, ValueError):
        return None
    file.seek(8)
    if file.read(2) == _CANON:
        raise _raw("")
    if not found:
        return None
    first = found[0][0]
    full = [directory for directory, _ in found if not directory.is_reduced and min(directory.size) > 0]
    best = max(full, key=lambda directory: directory.size[0] * directory.size[1], default=None)
    if best is None:
        raise PictureError(
            f"it says that it is a reduced copy, {first}, and holds no full picture; give the file that it is a copy of"
        )
    is_top = {directory.offset for directory, at_top in found if at_top}
    if first in full and not _is_copy(first, best, apart=best.offset in is_top):
        best = first
    if best.is_raw:
        raise _raw(f", {best},")
    orientation = 1 if _ORIENTATION in best.tags else first.number(_ORIENTATION, 1)
    return Chosen(file if best is first else _beginning_with(file, best), orientation, best.number(_BITS, 1))


def _raw(size: str) -> PictureError:
    return PictureError(
        f"the full picture{size} is a camera's raw data; develop it first, or let the camera write JPEG files"
    )


def _is_copy(first: Directory, best: Directory, *, apart: bool) -> bool:
    """Return whether the first picture, of which nothing is said, is a smaller copy of another.

    Args:
        apart: the other is a page of its own, so that it may be another picture.
    """
    (width, height), (wider, higher) = first.size, best.size
    if not apart:
        return wider > width and higher > height
    is_alike = abs(wider * height - higher * width) <= 0.02 * wider * height
    return is_alike and wider >= 2 * width and higher >= 2 * height


def _directories(file: IO[bytes]) -> Iterator[tuple[Directory, bool]]:
    """Yield all directories, and whether each is in the file's chain, the first one first; struct.error, ValueError."""
    file.seek(0)
    start = file.read(16)
    order = "<" if start[:2] == b"II" else ">"
    is_big = start[2:4] in (b"+\0", b"\0+")
    (at,) = struct.unpack_from(f"{order}Q", start, 8) if is_big else struct.unpack_from(f"{order}I", start, 4)
    seen: set[int] = set()
    todo = [(at, True)]
    while todo and len(seen) < _MOST_DIRECTORIES:
        at, is_top = todo.pop(0)
        if at == 0 or at in seen:
            continue
        seen.add(at)
        directory, following = _read(file, at, order, is_big=is_big)
        yield directory, is_top
        todo += [(inside, False) for inside in directory.tags.get(_INSIDE, ())]
        if is_top:
            todo.append((following, True))


def _read(file: IO[bytes], at: int, order: str, *, is_big: bool) -> tuple[Directory, int]:
    """Return a directory, and where the next of the chain is."""
    count_type, entry, place = ("Q", "HHQ8s", "Q") if is_big else ("H", "HHI4s", "I")
    size, width = struct.calcsize(f"{order}{entry}"), struct.calcsize(place)
    file.seek(at)
    (count,) = struct.unpack(f"{order}{count_type}", file.read(struct.calcsize(count_type)))
    if count > 65_535:
        raise ValueError("no directory has so many tags")
    body = file.read(count * size + width)
    tags: dict[int, tuple[int, ...]] = {}
    for n in range(count):
        tag, kind, number, value = struct.unpack_from(f"{order}{entry}", body, n * size)
        if tag not in _TAGS or kind not in _TYPES or not 0 < number <= _MOST_VALUES:
            continue
        form = f"{order}{number}{_TYPES[kind]}"
        length = struct.calcsize(form)
        if length > width:
            file.seek(struct.unpack(f"{order}{place}", value)[0])
            value = file.read(length)
        tags[tag] = struct.unpack_from(form, value)
    following = body[count * size : count * size + width]
    return Directory(at, tags), struct.unpack(f"{order}{place}", following)[0] if len(
        following
    ) == width else 0


def _beginning_with(file: IO[bytes], directory: Directory) -> IO[bytes]:
    """Return a copy of a file whose first directory is another."""
    file.seek(0)
    data = bytearray(file.read())
    order = "<" if data[:2] == b"II" else ">"
    if bytes(data[2:4]) in (b"+\0", b"\0+"):
        struct.pack_into(f"{order}Q", data, 8, directory.offset)
    else:
        struct.pack_into(f"{order}I", data, 4, directory.offset)
    return io.BytesIO(bytes(data))
