"""Sets of integers kept as sorted ranges: which bytes of a stream are there, which packets have arrived."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from heliograph.link.wire.messages import Range


class RangeSet:
    """A set of integers from 0, as ranges that neither overlap nor touch."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in ranges:
            self.add(start, stop)

    def __iter__(self) -> Iterator[Range]:
        return zip(list(self._starts), list(self._stops), strict=True)

    def __len__(self) -> int:
        """Return the number of ranges."""
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"

    __hash__ = None  # type: ignore[assignment]

    @property
    def total(self) -> int:
        """The number of integers in the set."""
        return sum(self._stops) - sum(self._starts)

    def add(self, start: int, stop: int) -> None:
        """Add the integers from `start` up to before `stop`."""
        if start >= stop:
            return
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        if first < last:
            start, stop = min(start, self._starts[first]), max(stop, self._stops[last - 1])
        self._starts[first:last], self._stops[first:last] = [start], [stop]

    def remove(self, start: int, stop: int) -> None:
        """Take the integers from `start` up to before `stop` out."""
        if start >= stop:
            return
        first = bisect_right(self._stops, start)
        last = bisect_left(self._starts, stop)
        if first >= last:
            return
        kept = [(a, b) for a, b in ((self._starts[first], start), (stop, self._stops[last - 1])) if a < b]
        self._starts[first:last] = [a for a, _ in kept]
        self._stops[first:last] = [b for _, b in kept]

    def covers(self, start: int, stop: int) -> bool:
        """Return whether all integers from `start` up to before `stop` are in the set."""
        if start >= stop:
            return True
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and self._stops[at] >= stop

    def touches(self, start: int, stop: int) -> bool:
        """Return whether the integers from `start` up to before `stop`, added, would be no range of their own."""
        return bisect_left(self._stops, start) < bisect_right(self._starts, stop)

    def __contains__(self, value: int) -> bool:
        return self.covers(value, value + 1)

    def gaps(self, start: int, stop: int) -> Iterator[Range]:
        """Yield the ranges between `start` and `stop` that are not in the set, lowest first."""
        at = bisect_right(self._stops, start)
        while start < stop:
            if at >= len(self._starts) or self._starts[at] >= stop:
                yield start, stop
                return
            if self._starts[at] > start:
                yield start, self._starts[at]
            start = self._stops[at]
            at += 1

    def first_gap(self, start: int, stop: int) -> Range | None:
        """Return the lowest range between `start` and `stop` that is not in the set, or None."""
        return next(self.gaps(start, stop), None)
