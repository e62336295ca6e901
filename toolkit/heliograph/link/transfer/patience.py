"""When a sender announces again what the receiver could not keep, and how seldom while nothing is taken."""

from __future__ import annotations

FIRST_PAUSE, LAST_PAUSE = 10.0, 300.0  # seconds until a stream is announced again, doubling
FIRST_SPACING, LAST_SPACING = 1.0, 60.0  # seconds between announcements of new streams, doubling


def pause(pauses: int) -> float:
    """Return the seconds until a stream is announced again that was refused so often before."""
    return min(FIRST_PAUSE * float(2 ** min(pauses, 8)), LAST_PAUSE)


class Patience:
    """The spacing of announcements: none until one is refused, and none again when one is taken."""

    def __init__(self) -> None:
        self._spacing = self._next = 0.0

    @property
    def is_long(self) -> bool:
        """Whether several announcements one after the other were refused."""
        return self._spacing >= LAST_SPACING / 4

    def may_announce(self, now: float) -> bool:
        """Return whether a new stream may be announced."""
        return now >= self._next

    def taken(self) -> None:
        """A stream was taken."""
        self._spacing = self._next = 0.0

    def refused(self, pauses: int, now: float) -> float:
        """A stream was refused that had been so often before; return when it is to be announced again."""
        if now >= self._next:  # else it was announced before that was known
            self._spacing = min(max(2 * self._spacing, FIRST_SPACING), LAST_SPACING)
            self._next = now + self._spacing
        return now + pause(pauses)
