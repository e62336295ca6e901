"""A stream that arrives one way: bytes in any order, and what of them serves a decoder already."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.codec import container
from heliograph.errors import StreamError
from heliograph.link.one_way.bodies import Run
from heliograph.link.transfer.partial import Partial
from heliograph.link.transfer.ranges import RangeSet


class Arriving:
    """The bytes of a stream that have come; those behind a hole of a stream of one slice are held back.

    Args:
        partial: its files, with what an earlier process has of it.
    """

    def __init__(self, device: str, partial: Partial) -> None:
        self.device, self.partial = device, partial
        self._there = RangeSet(partial.held)
        self._held_back: list[Run] = []
        self._is_sliced: bool | None = None  # None until the header is there

    @property
    def held_back(self) -> int:
        """Bytes that are in memory only."""
        return sum(len(data) for _, data in self._held_back)

    def take(self, runs: Iterable[Run]) -> None:
        """Take runs; what is there already is left out."""
        for offset, data in runs:
            stop = offset + len(data)
            if stop <= self.partial.size and not self._there.covers(offset, stop):
                self._there.add(offset, stop)
                self._held_back.append((offset, data))

    def sync(self) -> None:
        """Bring what serves a decoder to the disk; OutputError if that fails.

        Of a stream of one slice nothing behind a hole can be used, and its file ends at the hole, so that what is
        before it counts to the last byte. In a stream of several slices a hole harms one.
        """
        hole = self._there.first_gap(0, self.partial.size)
        edge = self.partial.size if hole is None else hole[0]
        if self._is_sliced is None and self._there.covers(0, 1):
            self._is_sliced = _is_sliced(self._first(edge))
        if self._is_sliced:
            edge = self.partial.size
        kept = []
        for offset, data in sorted(self._held_back):
            if offset < edge:
                self.partial.write(offset, data[: edge - offset])
            if offset + len(data) > edge:
                cut = max(edge - offset, 0)
                kept.append((offset + cut, data[cut:]))
        self._held_back = kept
        self.partial.sync()

    def _first(self, stop: int) -> bytes:
        """Return the bytes before the first hole, some of which an earlier process may have left on the disk."""
        out = bytearray(self.partial.read()[:stop].ljust(stop, b"\0"))
        for offset, data in self._held_back:
            if offset < stop:
                out[offset : min(offset + len(data), stop)] = data[: stop - offset]
        return bytes(out)


def _is_sliced(head: bytes) -> bool | None:
    """Return whether a stream that begins like this has several slices; None if its header is not all there."""
    try:
        return container.open(head).header.slice_count > 1
    except StreamError:
        return None if container.MAGIC.startswith(head[: len(container.MAGIC)]) else False
