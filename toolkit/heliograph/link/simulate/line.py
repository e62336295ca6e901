"""A simulated bad line, in virtual time: two ends are run against each other as fast as the CPU allows.

The same noise is put on real pseudo-terminals by `heliograph.link.simulate.pty_line`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heliograph.link.drive import End
from heliograph.link.port import BITS_PER_BYTE


@dataclass(frozen=True)
class Faults:
    """What a line does to bytes; all are chances.

    Attributes:
        bit_error: of each bit to be flipped.
        byte_loss: of each byte to vanish.
        burst: of each byte to begin a burst, in which `burst_bytes` bytes become random.
        write_loss: of each write, which is a frame, to vanish whole.
    """

    bit_error: float = 0.0
    byte_loss: float = 0.0
    burst: float = 0.0
    burst_bytes: int = 64
    write_loss: float = 0.0


class Noise:
    """Does to bytes what the faults say, the same for a seed."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self._random = np.random.default_rng(seed)
        self._burst_left = 0

    def apply(self, data: bytes) -> bytes:
        """Return what arrives of a write."""
        faults, draw = self.faults, self._random
        if not data or (faults.write_loss and draw.random() < faults.write_loss):
            return b""
        noisy = np.frombuffer(data, np.uint8).copy()
        if faults.bit_error:
            flips = np.packbits(draw.random((len(noisy), 8)) < faults.bit_error, axis=1)[:, 0]
            noisy ^= flips
        if faults.burst or self._burst_left:
            count = min(self._burst_left, len(noisy))
            noisy[:count] = draw.integers(0, 256, count)
            self._burst_left -= count
            for start in np.flatnonzero(draw.random(len(noisy)) < faults.burst):
                count = min(faults.burst_bytes, len(noisy) - int(start))
                noisy[start : start + count] = draw.integers(0, 256, count)
                self._burst_left = faults.burst_bytes - count
        if faults.byte_loss:
            noisy = noisy[draw.random(len(noisy)) >= faults.byte_loss]
        return noisy.tobytes()


class Line:
    """One direction of a line.

    Args:
        baud: bits a second, ten for a byte.
        delay: seconds from the last bit of a write to its arrival.
        buffer: bytes that wait for the line, as in a driver, before `is_free` says no.
    """

    def __init__(
        self,
        baud: int,
        *,
        delay: float = 0.0,
        faults: Faults | None = None,
        seed: int = 0,
        buffer: int = 4096,
    ) -> None:
        self.byte_seconds = BITS_PER_BYTE / baud
        self._delay, self._noise, self._buffer = delay, Noise(faults or Faults(), seed), buffer
        self._busy_until = 0.0
        self._arriving: list[tuple[float, int, bytes]] = []
        self._count = 0
        self.is_cut = False
        self.carried = 0

    def is_free(self, now: float) -> bool:
        """Return whether the driver takes a write."""
        return self.free_at <= now

    @property
    def free_at(self) -> float:
        """When the driver takes the next write."""
        return self._busy_until - self._buffer * self.byte_seconds

    def write(self, data: bytes, now: float) -> None:
        """Put bytes on the line."""
        self._busy_until = max(self._busy_until, now) + len(data) * self.byte_seconds
        self.carried += len(data)
        arriving = b"" if self.is_cut else self._noise.apply(data)
        if arriving:
            self._count += 1
            heapq.heappush(self._arriving, (self._busy_until + self._delay, self._count, arriving))

    def read(self, now: float) -> bytes:
        """Take what has arrived."""
        out = []
        while self._arriving and self._arriving[0][0] <= now:
            out.append(heapq.heappop(self._arriving)[2])
        return b"".join(out)

    @property
    def next_arrival(self) -> float:
        """When `read` has something, or infinity."""
        return self._arriving[0][0] if self._arriving else float("inf")

    def cut(self) -> None:
        """Lose what is on the way, and all that is written until `mend`."""
        self.is_cut = True
        self._arriving.clear()

    def mend(self) -> None:
        """Carry bytes again."""
        self.is_cut = False


def run(
    ends: tuple[End, End],
    lines: tuple[Line, Line],
    *,
    start: float = 0.0,
    until: float,
    is_over: Callable[[float], bool] = lambda now: False,
) -> float:
    """Run two ends, `lines` leading from each to the other; return the time at which it was over, or `until`."""
    now = start
    pairs = ((ends[0], lines[0], lines[1]), (ends[1], lines[1], lines[0]))
    while now < until and not is_over(now):
        wake = until
        for end, outwards, inwards in pairs:
            if data := inwards.read(now):
                end.receive(data, now)
            while outwards.is_free(now) and (data := end.send(now)):
                outwards.write(data, now)
            due = max(end.deadline(), now + 1e-4) if outwards.is_free(now) else outwards.free_at
            wake = min(wake, due)
        wake = min(wake, lines[0].next_arrival, lines[1].next_arrival)
        now = max(wake, now + 1e-6)
    return min(now, until)
