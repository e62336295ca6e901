"""When what failed is tried again: after a while, and after twice as long each time that it fails again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable

from heliograph.errors import OutputError, RuntimeUnavailableError

FIRST, LAST = 10.0, 3600.0  # seconds


class Pauses:
    """Pauses of many things, each by its key.

    Args:
        first, last: seconds after the first failure, and at most.
        clock: seconds that do not go back.
    """

    def __init__(
        self, first: float = FIRST, last: float = LAST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first, self._last, self._clock = first, last, clock
        self._due: dict[Hashable, tuple[float, float]] = {}  # when, and how long the pause was

    def failed(self, key: Hashable, at_least: float = 0.0) -> float:
        """Note a failure and return the seconds until it may be tried again."""
        _, before = self._due.get(key, (0.0, 0.0))
        pause = min(max(2 * before, self._first, at_least), max(self._last, at_least))
        self._due[key] = self._clock() + pause, pause
        return pause

    def is_due(self, key: Hashable) -> bool:
        """Return whether something may be tried now: it never failed, or its pause is over."""
        return key not in self._due or self._clock() >= self._due[key][0]

    def has(self, key: Hashable) -> bool:
        """Return whether something failed."""
        return key in self._due

    def keep(self, keys: Collection[Hashable]) -> None:
        """Forget all others."""
        self._due = {key: due for key, due in self._due.items() if key in keys}

    def forget(self, key: Hashable) -> None:
        """Forget that something failed."""
        self._due.pop(key, None)


def may_pass(error: Exception) -> bool:
    """Return whether something failed for what is not the stream's: a disk, memory, a library."""
    if isinstance(error, MemoryError | OutputError | RuntimeUnavailableError):
        return True
    return isinstance(error.__cause__, OSError)
