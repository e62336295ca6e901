"""Sets of ranges behave as sets of integers."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from heliograph.link.transfer.ranges import RangeSet

spans = st.tuples(st.integers(0, 60), st.integers(0, 60))


@given(st.lists(st.tuples(st.booleans(), spans), max_size=30), spans)
def test_as_a_set(steps: list[tuple[bool, tuple[int, int]]], window: tuple[int, int]) -> None:
    ranges, plain = RangeSet(), set()
    for is_added, (start, stop) in steps:
        if is_added:
            ranges.add(start, stop)
            plain |= set(range(start, stop))
        else:
            ranges.remove(start, stop)
            plain -= set(range(start, stop))
    found = list(ranges)
    assert {n for a, b in found for n in range(a, b)} == plain
    assert all(a < b for a, b in found)
    assert all(b < c for (_, b), (c, _) in itertools.pairwise(found))
    assert ranges.total == len(plain)
    start, stop = window
    if start < stop:
        assert ranges.touches(start, stop) == bool(plain & set(range(start - 1, stop + 1)))
    assert ranges.covers(start, stop) == (set(range(start, stop)) <= plain)
    gaps = {n for a, b in ranges.gaps(start, stop) for n in range(a, b)}
    assert gaps == set(range(start, stop)) - plain
    assert (30 in ranges) == (30 in plain)
