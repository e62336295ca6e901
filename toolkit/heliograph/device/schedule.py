"""When to capture: ticks that do not drift, and a wait that a signal ends."""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

STEP = 1.0  # seconds between two looks at what runs beside


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


class Stop:
    """A context in which SIGTERM and SIGINT end waits instead of the process; they are noted and no work is cut.

    Args:
        look: called at least every STEP seconds of a wait.
    """

    def __init__(self, look: Callable[[], None] = lambda: None) -> None:
        self._look = look
        self._before: dict[int, Any] = {}
        self.requested = False

    def __enter__(self) -> Stop:
        # Handlers only write a byte: locks, as threading.Event has them, can deadlock in a handler.
        self._out, self._into = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._out)
        os.close(self._into)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.requested = True
            os.write(self._into, b"\0")

    def wait(self, seconds: float) -> bool:
        """Wait, or less if a stop is requested; return whether it is."""
        end = time.monotonic() + seconds
        while not self.requested:
            self._look()
            left = end - time.monotonic()
            if left <= 0:
                break
            select.select([self._out], [], [], min(left, STEP))
        return self.requested
