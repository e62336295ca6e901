"""A stream that arrives one way: bytes in any order, and what of them serves a decoder already."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.codec import container
from heliograph.errors import StreamError
from heliograph.link.one_way.bodies import Run
from heliograph.link.transfer.partial import MAX_RUNS, Partial
from heliograph.link.transfer.ranges import RangeSet

MAX_HELD = 4 << 20  # bytes of a stream in memory: behind a hole, or while the disk is full
MAX_HEADER = 64 << 10  # bytes in which the header of a stream of several slices is looked for


class Arriving:
    """The bytes of a stream that have come; those behind a hole of a stream of one slice are held back.

    Args:
        partial: its files, with what an earlier process has of it.

    Attributes:
        held_back: bytes that are in memory only, those that wait for the disk left out.
    """

    def __init__(self, device: str, partial: Partial) -> None:
        self.device, self.partial = device, partial
        self.held_back = 0
        self._there = RangeSet(partial.held)
        self._runs: list[Run] = []  # that are held back, apart from each other
        self._is_sliced: bool | None = None  # None until the header is there
        self._looked = 0  # bytes of the header that were there at the last look

    def take(self, runs: Iterable[Run]) -> None:
        """Take runs; what is there already is left out, and what is beyond the bounds of holes and of memory."""
        for offset, data in runs:
            stop = offset + len(data)
            is_apart = not self._there.touches(offset, stop)
            if (
                stop > self.partial.size
                or (is_apart and len(self._there) >= MAX_RUNS)
                or self.held_back + self.partial.unsynced >= MAX_HELD
            ):
                continue
            for start, end in list(self._there.gaps(offset, stop)):
                self._runs.append((start, data[start - offset : end - offset]))
                self.held_back += end - start
            self._there.add(offset, stop)
        if len(self._runs) > 2 * MAX_RUNS:
            self._runs = _joined(self._runs)

    def write(self) -> None:
        """Give `partial` what serves a decoder.

        Of a stream of one slice nothing behind a hole can be used, and its file ends at the hole, so that what is
        before it counts to the last byte. In a stream of several slices a hole harms one.
        """
        hole = self._there.first_gap(0, self.partial.size)
        edge = self.partial.size if hole is None else hole[0]
        self._runs = _joined(self._runs)
        if self._is_sliced is None and self._looked < min(edge, MAX_HEADER):
            self._looked = min(edge, MAX_HEADER)
            self._is_sliced = _is_sliced(self._first(self._looked))
        if self._is_sliced:
            edge = self.partial.size
        kept = []
        for offset, data in self._runs:
            if offset < edge and not self.partial.write(offset, data[: edge - offset]):
                kept.append((offset, data))  # too many at once: the next time
            elif offset + len(data) > edge:
                cut = max(edge - offset, 0)
                kept.append((offset + cut, data[cut:]))
        self._runs = kept
        self.held_back = sum(len(data) for _, data in kept)

    def _first(self, stop: int) -> bytes:
        """Return the bytes before the first hole, some of which an earlier process may have left on the disk."""
        out = bytearray(self.partial.read_first(stop).ljust(stop, b"\0"))
        for offset, data in self._runs:
            if offset < stop:
                out[offset : min(offset + len(data), stop)] = data[: stop - offset]
        return bytes(out)


def _joined(runs: list[Run]) -> list[Run]:
    """Return runs that neither overlap nor touch, sorted; those given do not overlap."""
    joined: list[tuple[int, list[bytes]]] = []
    end = -1
    for offset, data in sorted(runs):
        if offset == end:
            joined[-1][1].append(data)
        else:
            joined.append((offset, [data]))
        end = offset + len(data)
    return [(offset, b"".join(parts)) for offset, parts in joined]


def _is_sliced(head: bytes) -> bool | None:
    """Return whether a stream that begins like this has several slices; None if its header is not all there."""
    try:
        return container.open(head).header.slice_count > 1
    except StreamError:
        return None if container.MAGIC.startswith(head[: len(container.MAGIC)]) else False
