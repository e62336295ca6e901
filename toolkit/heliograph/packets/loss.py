"""How many of a number of packets arrive: losses one by one or in bursts, at a share that is known only about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.errors import PacketError

Floats = npt.NDArray[np.float64]
MOST_LOSS = 0.9
# A loss that was planned for is a guess: for an hour the link may be some times as bad.
_GUESSES = ((1.0, 0.70), (2.1, 0.14), (4.4, 0.16))


@dataclass(frozen=True)
class Losses:
    """What a link does to packets.

    Attributes:
        share: of the packets that are lost, 0 to 0.9, as far as anybody knows.
        burst: packets that are lost one after the other, in the mean, at least 1.

    Raises:
        PacketError: a value is out of range.
    """

    share: float
    burst: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= MOST_LOSS:
            raise PacketError(f"loss is {self.share:g}, expected 0 to {MOST_LOSS:g}; give such as 0.1")
        if not 1 <= self.burst <= 1000:
            raise PacketError(f"burst is {self.burst:g}, expected 1 to 1000 packets; give such as 5")

    def survival(self, count: int, parts: int = 1) -> Floats:
        """Return how likely it is that at least k of so many packets arrive, of each part; float [count + 1] by k."""
        likely = np.zeros(count + 1)
        for times, weight in _GUESSES:  # of which one holds for all parts
            arriving = arrivals(count, min(times * self.share, MOST_LOSS), self.burst)
            likely += weight * np.minimum(np.cumsum(arriving[::-1])[::-1], 1) ** parts
        return likely

    def likely(self, count: int, least: int) -> float:
        """Return how likely it is that so many packets at least arrive if the share is just this one."""
        return float(arrivals(count, self.share, self.burst)[least:].sum())


def arrivals(count: int, share: float, burst: float) -> Floats:
    """Return how likely each number of packets is to arrive, float [count + 1].

    Gilbert's channel: packets are lost while it is bad, which lasts `burst` packets in the mean; with a burst of
    1 / (1 - share) they are lost independently, and a shorter one than that counts as it.
    """
    ends = min(1 / burst, 1 - share)
    begins = ends * share / (1 - share)
    good, bad = np.zeros(count + 1), np.zeros(count + 1)  # by the packets that have arrived
    good[0], bad[0] = 1 - share, share
    for _ in range(count):
        arrived = np.concatenate([[0.0], good[:-1]])
        good, bad = arrived * (1 - begins) + bad * ends, arrived * begins + bad * (1 - ends)
    return np.asarray(good + bad)
