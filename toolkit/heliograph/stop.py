"""The wish to end, for loops that run for months: signals end waits, and no work is cut."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

STEP = 1.0  # seconds between two looks at what runs beside


class Stop:
    """A wish to end. As a context, SIGTERM and SIGINT set it instead of ending the process.

    Args:
        look: called at least every STEP seconds of a wait.

    Attributes:
        is_set: whether the wish is there; it stays.
    """

    def __init__(self, look: Callable[[], None] = lambda: None) -> None:
        self.is_set = False
        self._look = look
        self._before: dict[int, Any] = {}
        self._out, self._into = os.pipe()

    def __enter__(self) -> Stop:
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

    def set(self) -> None:
        """Wish to end; this ends a wait in another thread too."""
        # In a handler only a byte may be written: locks, as threading.Event has them, can deadlock there.
        if not self.is_set:
            self.is_set = True
            os.write(self._into, b"\0")

    def fileno(self) -> int:
        """Return a descriptor that is readable once the wish is there."""
        return self._out

    def wait(self, seconds: float) -> bool:
        """Wait, or less if the wish comes; return whether it is there."""
        end = time.monotonic() + seconds
        while not self.is_set:
            self._look()
            left = end - time.monotonic()
            if left <= 0:
                break
            select.select([self._out], [], [], min(left, STEP))
        return self.is_set

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.set()
