"""Room for pictures under way: pixels that may be in memory at once, given in order."""

from __future__ import annotations

import threading


class Room:
    """Pixels that may be under way at once, given in the order of tickets, so that none waits for a later one.

    A picture larger than all the room is let in alone.
    """

    def __init__(self, pixels: int) -> None:
        self._limit, self._used, self._turn, self._is_open = pixels, 0, 0, True
        self._changed = threading.Condition()

    def enter(self, ticket: int, pixels: int) -> None:
        """Wait for a ticket's turn and for room; every ticket enters once, one without pixels with 0."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    not self._is_open
                    or (self._turn == ticket and (not self._used or self._used + pixels <= self._limit))
                )
            )
            self._used += pixels
            self._turn += 1
            self._changed.notify_all()

    def leave(self, pixels: int) -> None:
        """Give room back."""
        with self._changed:
            self._used -= pixels
            self._changed.notify_all()

    def open_for_all(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
