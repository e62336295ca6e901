"""When to capture: ticks that do not drift."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Schedule:
    """Ticks at start, start + every, start + 2 every ...: the time a capture takes does not shift the next.

    A tick that passed while a capture took its time is left out, not made up for. The clock is monotonic: setting
    the time of day changes nothing.
    """

    def __init__(self, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every, self._clock = every, clock
        self._start = clock()

    def until_next(self) -> float:
        """Return the seconds until the first tick to come, at most `every`; 0 if that is 0."""
        if not self._every:
            return 0.0
        passed = self._clock() - self._start
        return (math.floor(passed / self._every) + 1) * self._every - passed
