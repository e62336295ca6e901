"""A simulated bad line between two real pseudo-terminals, in real time.

    python -m heliograph.link.simulate.pty_line --baud 115200 --bit-error 1e-4

prints the two device paths on one line and carries bytes between them until it is ended.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import select
import signal
import sys
import time
import tty
from collections import deque
from collections.abc import Sequence

from heliograph.link.port import BITS_PER_BYTE, DEFAULT_BAUD
from heliograph.link.simulate.line import Faults, Noise

_CHUNK_SECONDS = 0.004  # of line time that is carried at once
_AHEAD = 0.008


class Direction:
    """Bytes from one terminal to the other: paced as by a UART, delayed, with noise."""

    def __init__(self, source: int, target: int, baud: int, delay: float, noise: Noise) -> None:
        self.source, self._target = source, target
        self._byte_seconds, self._delay, self._noise = BITS_PER_BYTE / baud, delay, noise
        self._chunk = max(1, int(_CHUNK_SECONDS / self._byte_seconds))
        self._busy_until = 0.0
        self._waiting: deque[tuple[float, bytes]] = deque()
        self.carried = self.overrun = 0

    def takes(self, now: float) -> bool:
        """Return whether the UART has room."""
        return self._busy_until < now + _AHEAD

    def take(self, now: float, *, is_cut: bool) -> None:
        """Read from the source."""
        try:
            data = os.read(self.source, self._chunk)
        except BlockingIOError:
            return
        self._busy_until = max(self._busy_until, now) + len(data) * self._byte_seconds
        self.carried += len(data)
        if not is_cut and (data := self._noise.apply(data)):
            self._waiting.append((self._busy_until + self._delay, data))

    def give(self, now: float) -> None:
        """Write what has arrived; what the other end is too slow to read is lost, as in a UART."""
        while self._waiting and self._waiting[0][0] <= now:
            data = self._waiting.popleft()[1]
            written = 0
            with contextlib.suppress(BlockingIOError):
                written = os.write(self._target, data)
            self.overrun += len(data) - written

    def next_time(self, now: float) -> float:
        """Return when there is something to do but to read."""
        due = self._waiting[0][0] if self._waiting else float("inf")
        return due if self.takes(now) else min(due, self._busy_until - _AHEAD)

    def drop(self) -> None:
        """Lose what is on the way."""
        self._waiting.clear()


def open_terminal() -> tuple[int, int, str]:
    """Return the two descriptors of a new raw pseudo-terminal and its path; keep both open."""
    outer, inner = os.openpty()
    tty.setraw(inner)
    os.set_blocking(outer, False)
    return outer, inner, os.ttyname(inner)


def carry(directions: tuple[Direction, Direction], cuts: Sequence[tuple[float, float]], until: float) -> None:
    """Carry bytes until a time; `cuts` are seconds from now and durations. SIGTERM ends it."""
    stopped = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    began = time.monotonic()
    while not stopped:
        now = time.monotonic()
        if now - began > until:
            break
        is_cut = any(start <= now - began < start + length for start, length in cuts)
        for direction in directions:
            if is_cut:
                direction.drop()
            direction.give(now)
        wake = min(direction.next_time(now) for direction in directions)
        reading = [direction.source for direction in directions if direction.takes(now)]
        ready, _, _ = select.select(reading, [], [], min(max(wake - time.monotonic(), 0.0), 0.05))
        now = time.monotonic()
        for direction in directions:
            if direction.source in ready:
                direction.take(now, is_cut=is_cut)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a line from the command line."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.link.simulate.pty_line", description=__doc__)
    parser.add_argument("--baud", type=int, default=DEFAULT_BAUD)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds, each way")
    parser.add_argument("--bit-error", type=float, default=0.0, help="chance of each bit")
    parser.add_argument("--byte-loss", type=float, default=0.0, help="chance of each byte")
    parser.add_argument(
        "--burst", type=float, default=0.0, help="chance of each byte to begin 64 random ones"
    )
    parser.add_argument("--cuts", type=int, default=0, help="how often the line is cut")
    parser.add_argument("--cut-every", type=float, default=5.0, help="seconds between cuts, on average")
    parser.add_argument("--cut-for", type=float, default=1.0, help="seconds of a cut, on average")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so long")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    faults = Faults(bit_error=given.bit_error, byte_loss=given.byte_loss, burst=given.burst)
    first, second = open_terminal(), open_terminal()
    directions = tuple(
        Direction(a[0], b[0], given.baud, given.delay, Noise(faults, given.seed * 2 + n))
        for n, (a, b) in enumerate(((first, second), (second, first)))
    )
    draw, at = random.Random(given.seed), 0.0
    cuts = []
    for _ in range(given.cuts):
        at += draw.uniform(0.5, 1.5) * given.cut_every
        cuts.append((at, draw.uniform(0.2, 1.8) * given.cut_for))
        at += cuts[-1][1]
    print(first[2], second[2], flush=True)
    carry((directions[0], directions[1]), cuts, given.seconds)
    print(
        f"carried {directions[0].carried} {directions[1].carried}, overrun {directions[0].overrun} "
        f"{directions[1].overrun}",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
