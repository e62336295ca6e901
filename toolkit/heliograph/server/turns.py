"""Turns: whose stream is decoded next, so that no device takes the time of all.

Every device that has streams waiting has a place in a line of seconds. Its next stream stands behind that place by as
much as its pixels cost, and the one that stands first is decoded; that moves its device on by the seconds that it
really took. One that comes new begins where the line is now: it moves on by the time that each of those who wait has
had, on average. So devices that wait have equal time whatever they send, and what a device sent last is decoded first.

A device is ten seconds before or behind the others at most. So a picture of some ten megapixels has its turn like any
other, and vaster ones are decoded when there is time: many names, which may cost nothing, cannot fill the line with
them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from heliograph.server.inbox import Entry

SECONDS_PER_PIXEL = 1e-6  # expected; what counts in the end is what it took
SWING = 10.0  # seconds that a device is before or behind the others at most


class Turns:
    """The order in which streams of many devices are decoded."""

    def __init__(self) -> None:
        self._now = 0.0  # the place in the line of those that come new
        self._places: dict[
            str, float
        ] = {}  # of devices that wait, and of those that have had more than their time
        self._waiting = 0
        self._pixels: dict[tuple[str, str], tuple[tuple[int, int, bool], int]] = {}

    def order(self, streams: Iterable[Entry]) -> Iterator[tuple[Entry, int]]:
        """Yield streams as their turns come, each with the pixels it claims.

        Args:
            streams: all that wait now, latest first.
        """
        waiting: dict[str, list[Entry]] = {}
        for stream in streams:
            waiting.setdefault(stream.device, []).append(stream)
        known = self._places | dict.fromkeys(waiting.keys() - self._places.keys(), self._now)
        self._places = {
            device: min(max(place, self._now - SWING), self._now + SWING)
            for device, place in known.items()
            if device in waiting or place > self._now
        }
        self._waiting = len(waiting)
        before, self._pixels = self._pixels, {}

        def claimed(stream: Entry) -> int:
            version, pixels = before.get(stream.key, (None, 0))
            if version != stream.version:
                pixels = stream.pixels()
            self._pixels[stream.key] = stream.version, pixels
            return pixels

        line: list[tuple[float, int, int, int, str]] = []  # where it stands, how late it came, its pixels
        for late, (device, own) in enumerate(waiting.items()):
            pixels = claimed(own[0])
            line.append((self._places[device] + pixels * SECONDS_PER_PIXEL, late, pixels, 0, device))
        heapq.heapify(line)
        while line:
            stands, late, pixels, number, device = line[0]
            own = waiting[device]
            if number + 1 < len(own):
                more = claimed(own[number + 1])
                heapq.heapreplace(line, (stands + more * SECONDS_PER_PIXEL, late, more, number + 1, device))
            else:
                heapq.heappop(line)
            yield own[number], pixels

    def took(self, device: str, seconds: float) -> None:
        """Note the time that a device's stream has taken."""
        self._places[device] = self._places.get(device, self._now) + seconds
        self._now += seconds / max(1, self._waiting)
