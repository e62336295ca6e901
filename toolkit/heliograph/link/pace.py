"""How much may be on the way, how large frames are, and when silence means loss. Sans-IO.

A serial line delivers in order or not at all, and loses bytes by noise, not by congestion. So a packet is lost as
soon as a later one is acknowledged, loss does not shrink the window, and the window is the bandwidth
measured times the delay measured, twice.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

ACK_DELAY = 0.05  # seconds a receiver may hold an acknowledgement back
FIRST_TIMEOUT = 3.0
LEAST_TIMEOUT = 0.2
MOST_TIMEOUT = 5.0  # or twice the round trip
LEAST_FRAMES = 4  # on the way at least
MAX_WINDOW = 256 << 10
SIZES = (48, 96, 192, 384, 768, 1408)  # payload bytes of a frame
OVERHEAD = 22  # bytes around a payload: delimiter, COBS, CRC, packet and message heads
LINE_SECONDS = 0.25  # the most a frame may keep a slow line busy
_START_SIZE = 2  # of SIZES
_MEMORY = 96  # packets after which an outcome counts 1/e
_PRIOR = 6.0  # packets that the model of noise counts as, beside what was measured at a size


@dataclass
class Sent:
    """A packet on the way: `size` in bytes on the line, `delivered` and `since` when it left."""

    size: int
    at: float
    delivered: int
    since: float


class Pace:
    """Watches packets leave and arrive."""

    def __init__(self) -> None:
        self._rtt: float | None = None
        self._spread = 0.0
        self._backoff = 1
        self._delivered, self._delivered_at = 0, 0.0
        self._rates: deque[tuple[float, float]] = deque()  # time, bytes a second; falling
        self._delays: deque[tuple[float, float]] = deque()  # time, seconds; rising
        self._start_rate, self._stalls, self._start_round = 0.0, 0, 0
        self._window = float(LEAST_FRAMES * (SIZES[_START_SIZE] + OVERHEAD))
        self._starting = True
        self._tried = [0.0] * len(SIZES)
        self._arrived = [0.0] * len(SIZES)
        self._choice = _START_SIZE
        self._outcomes = 0

    @property
    def window(self) -> int:
        """Bytes that may be on the way."""
        return int(max(self._window, LEAST_FRAMES * (self.payload + OVERHEAD)))

    @property
    def payload(self) -> int:
        """Bytes of a stream to put into the next frame."""
        # Now and then the neighbours are tried, or nothing would be known of them.
        phase = self._outcomes % 64
        choice = self._choice
        if phase < 2 and self._outcomes >= 64:
            choice = min(choice + 1, len(SIZES) - 1)
        if self._rates:
            while choice and (SIZES[choice] + OVERHEAD) / self._rates[0][1] > LINE_SECONDS:
                choice -= 1
        return SIZES[choice]

    @property
    def timeout(self) -> float:
        """Seconds of silence after which the other end is asked."""
        base = FIRST_TIMEOUT if self._rtt is None else self._rtt + max(4 * self._spread, 0.05) + ACK_DELAY
        return min(max(base, LEAST_TIMEOUT) * self._backoff, max(MOST_TIMEOUT, 2 * base))

    @property
    def rate(self) -> float:
        """Bytes a second that arrived lately, at best; 0 if unknown."""
        return self._rates[0][1] if self._rates else 0.0

    @property
    def loss(self) -> float:
        """Share of frames lost lately, at the present size."""
        return 1 - self._survival(self._choice)

    def on_silence(self) -> None:
        """The timeout ran out."""
        self._backoff = min(self._backoff * 2, 64)

    def begin(self) -> None:
        """A new session: silence of the old one says nothing of it."""
        self._backoff = 1

    def sent(self, size: int, on_the_way: int, now: float) -> Sent:
        """A packet leaves while `on_the_way` bytes are in flight."""
        if not on_the_way:
            self._delivered_at = now
        return Sent(size, now, self._delivered, self._delivered_at)

    def acknowledged(self, packet: Sent, now: float, *, is_latest: bool) -> None:
        """A packet arrived; the latest of an acknowledgement tells the delay."""
        self._delivered += packet.size
        self._delivered_at = now
        if is_latest:
            self._backoff = 1
            self._measure_delay(max(now - packet.at, 1e-4), now)
            spent = now - packet.since
            if spent > 0:
                self._measure_rate((self._delivered - packet.delivered) / spent, now)
            if self._starting:
                self._look_for_the_end_of_start(packet)
            if not self._starting and self._delays and self._rates:
                goal = 2 * self._rates[0][1] * (self._delays[0][1] + ACK_DELAY)
                self._window = min(goal + 2 * (self.payload + OVERHEAD), MAX_WINDOW)
        if self._starting:
            self._window = min(self._window + packet.size, MAX_WINDOW)
        self._outcome(packet.size, arrived=True)

    def lost(self, packet: Sent) -> None:
        """A packet did not arrive."""
        self._outcome(packet.size, arrived=False)

    def _look_for_the_end_of_start(self, packet: Sent) -> None:
        """Leave the start when three round trips have not brought a quarter more bytes a second."""
        if packet.delivered < self._start_round:
            return
        self._start_round = self._delivered
        if self.rate > 1.25 * self._start_rate:
            self._start_rate, self._stalls = self.rate, 0
        else:
            self._stalls += 1
            self._starting = self._stalls < 3

    def _measure_delay(self, delay: float, now: float) -> None:
        if self._rtt is None:
            self._rtt, self._spread = delay, delay / 2
        else:
            self._spread += (abs(delay - self._rtt) - self._spread) / 4
            self._rtt += (delay - self._rtt) / 8
        while self._delays and (self._delays[-1][1] >= delay or self._delays[0][0] < now - 60):
            self._delays.pop() if self._delays[-1][1] >= delay else self._delays.popleft()
        self._delays.append((now, delay))

    def _measure_rate(self, rate: float, now: float) -> None:
        keep = max(3.0, 10 * (self._rtt or 0.0))
        while self._rates and (self._rates[-1][1] <= rate or self._rates[0][0] < now - keep):
            self._rates.pop() if self._rates[-1][1] <= rate else self._rates.popleft()
        self._rates.append((now, rate))

    def _outcome(self, size: int, *, arrived: bool) -> None:
        fade = math.exp(-1 / _MEMORY)
        nearest = min(range(len(SIZES)), key=lambda n: abs(SIZES[n] + OVERHEAD - size))
        if size > SIZES[0] // 2 + OVERHEAD:  # small ones say nothing of sizes
            self._tried = [n * fade for n in self._tried]
            self._arrived = [n * fade for n in self._arrived]
            self._tried[nearest] += 1
            self._arrived[nearest] += arrived
        self._outcomes += 1
        if self._outcomes % 8 == 0:
            self._choice = max(range(len(SIZES)), key=self._worth)

    def _survival(self, choice: int) -> float:
        """Chance that a frame of a size arrives: what was seen at this size, beside a model of noise."""
        pairs = [(n, SIZES[n] + OVERHEAD) for n in range(len(SIZES)) if self._tried[n] > 0.5]
        sent = sum(self._tried[n] * size for n, size in pairs) + 2000.0
        failed = sum(self._tried[n] - self._arrived[n] for n, _ in pairs)
        by_noise = math.exp(-failed / sent * (SIZES[choice] + OVERHEAD))
        return (self._arrived[choice] + _PRIOR * by_noise) / (self._tried[choice] + _PRIOR)

    def _worth(self, choice: int) -> float:
        return self._survival(choice) * SIZES[choice] / (SIZES[choice] + OVERHEAD)
