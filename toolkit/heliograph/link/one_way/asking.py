"""What a receiver says back: which pictures lack how many packets, when nothing more of them comes by itself."""

from __future__ import annotations

from heliograph.link.one_way.frames import WORD
from heliograph.link.wire.frames import FrameCoder, FrameEncoder
from heliograph.packets import packet, word
from heliograph.packets.collector import Collector, Name

QUIET = 3.0  # seconds after the last packet of a picture until more are asked for
LAST = 300.0  # seconds between two times at most, from QUIET on doubled
APART = 1.0  # seconds between two words
MOST = 1024  # pictures that are remembered


class Asking:
    """Words back, one a second at most: of each part of a picture that has gone quiet, the newest first."""

    def __init__(self, collector: Collector, key: bytes | None) -> None:
        self._collector, self._key = collector, key
        self._frames = FrameEncoder(FrameCoder())
        self._due: dict[Name, tuple[float, float]] = {}  # of each part: when, and how long it was waited
        self._next = 0.0

    def heard(self, data: bytes, now: float) -> None:
        """Note that a packet came."""
        said = packet.read(data, self._key)
        if said is not None:
            self._due.pop((said.device, said.picture), None)
            self._due[said.device, said.picture] = now + QUIET, QUIET
            while len(self._due) > MOST:
                del self._due[next(iter(self._due))]

    def deadline(self) -> float:
        """Return when there is a word to say."""
        due = min((when for when, _ in self._due.values()), default=float("inf"))
        return max(due, self._next)

    def send(self, now: float) -> bytes:
        """Return a word's frame if it is time for one."""
        if now < self.deadline():
            return b""
        lacking = {(device, number): count for device, number, count in self._collector.lacking()}
        self._due = {name: due for name, due in self._due.items() if name in lacking}
        ready = [name for name, (when, _) in self._due.items() if when <= now]
        if not ready:
            return b""
        name = ready[-1]
        waited = min(2 * self._due[name][1], LAST)
        self._due[name] = now + waited, waited
        self._next = now + APART
        said = word.write(word.Word(name[1], min(lacking[name], 255)), name[0], self._key)
        return self._frames.encode(bytes([WORD]) + said, now)
