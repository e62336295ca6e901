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
LINE_SECONDS = 0.5  # the most a frame may keep a slow line busy
_START_SIZE = 2  # of SIZES
_MEMORY = 400  # packets after which an outcome counts 1/e


class _Model(tuple[tuple[float, float, float], ...]):
    """For each size the chance to arrive, its logarithm, and that of the chance not to."""

    @property
    def chances(self) -> tuple[float, ...]:
        return tuple(chance for chance, _, _ in self)


def _model(whole: float, noise: float) -> _Model:
    """Frames vanish whole, whatever their size, and by noise on their bytes: e^(-noise * bytes) arrive of the rest."""
    chances = [min(whole * math.exp(-noise * (size + OVERHEAD)), 0.9999) for size in SIZES]
    return _Model((chance, math.log(max(chance, 1e-9)), math.log(1 - chance)) for chance in chances)


_MODELS = [
    _model(1 - lost, noise)
    for lost in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7)
    for noise in (0.0, *(10 ** (-5.5 + n / 6) for n in range(22)))
]


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
        self._deviation = 0.0
        self._backoff = 1
        self._delivered, self._delivered_at = 0, 0.0
        self._rates: deque[tuple[float, float]] = deque()  # time, bytes a second; falling
        self._delays: deque[tuple[float, float]] = deque()  # time, seconds; rising
        self._start_rate, self._stalls, self._start_round = 0.0, 0, 0
        self._window = float(2 * LEAST_FRAMES * (SIZES[_START_SIZE] + OVERHEAD))
        self._starting = True
        self._arrived, self._failed = [0.0] * len(SIZES), [0.0] * len(SIZES)
        self._survival: tuple[float, ...] = (1.0,) * len(SIZES)
        self._choice = _START_SIZE
        self._outcomes = 0

    @property
    def window(self) -> int:
        """Bytes that may be on the way."""
        return int(max(self._window, LEAST_FRAMES * (self.payload + OVERHEAD)))

    @property
    def payload(self) -> int:
        """Bytes of a stream to put into the next frame."""
        choice = self._choice
        if self._outcomes % 16 == 15:  # now and then a neighbour is tried, or nothing would be known of it
            choice = min(max(choice + (1 if self._outcomes % 32 < 16 else -1), 0), len(SIZES) - 1)
        if self._rates:
            while choice and (SIZES[choice] + OVERHEAD) / self._rates[0][1] > LINE_SECONDS:
                choice -= 1
        return SIZES[choice]

    @property
    def timeout(self) -> float:
        """Seconds of silence after which the other end is asked."""
        base = FIRST_TIMEOUT if self._rtt is None else self._rtt + max(4 * self._deviation, 0.05) + ACK_DELAY
        return min(max(base, LEAST_TIMEOUT) * self._backoff, max(MOST_TIMEOUT, 2 * base))

    @property
    def rate(self) -> float:
        """Bytes a second that arrived lately, at best; 0 if unknown."""
        return self._rates[0][1] if self._rates else 0.0

    @property
    def loss(self) -> float:
        """Share of frames lost lately, at the present size."""
        return 1 - self._survival[self._choice]

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
                goal = 2 * self._rates[0][1] * (self._delays[0][1] + ACK_DELAY + 2 * self._deviation)
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
            self._rtt, self._deviation = delay, delay / 2
        else:
            self._deviation += (abs(delay - self._rtt) - self._deviation) / 4
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
        nearest = min(range(len(SIZES)), key=lambda n: abs(SIZES[n] + OVERHEAD - size))
        fade = math.exp(-1 / _MEMORY)
        for n in range(len(SIZES)):
            self._arrived[n] *= fade
            self._failed[n] *= fade
        (self._arrived if arrived else self._failed)[nearest] += 1
        self._outcomes += 1
        if self._outcomes % 8 == 0:
            self._survival = self._fit()
            self._choice = max(range(len(SIZES)), key=self._worth)

    def _fit(self) -> tuple[float, ...]:
        """Return the chance of each size to arrive: the likeliest of the models, given what was seen."""
        seen = tuple(zip(self._arrived, self._failed, strict=True))
        return max(
            _MODELS,
            key=lambda model: sum(
                yes * good + no * bad for (yes, no), (_, good, bad) in zip(seen, model, strict=True)
            ),
        ).chances

    def _worth(self, choice: int) -> float:
        return self._survival[choice] * SIZES[choice] / (SIZES[choice] + OVERHEAD)
