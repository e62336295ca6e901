"""What the link tells the outside: events, for a line on a terminal or a JSON object per line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SELDOM = 10.0  # seconds between two events of one kind that noise or an attacker can cause


@dataclass(frozen=True)
class Event:
    """Something worth telling.

    Attributes:
        what: "connected", "sent", "received", "noise", "refused", "suspect", "port" ...
        details: plain numbers and texts.
    """

    what: str
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return one flat object."""
        return {"event": self.what, **self.details}

    def __str__(self) -> str:
        return f"{self.what}: " + ", ".join(f"{name} {value}" for name, value in self.details.items())


class Log:
    """Events until they are taken."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._counts: dict[str, int] = {}
        self._told: dict[str, float] = {}

    def tell(self, what: str, **details: object) -> None:
        """Add an event."""
        self._events.append(Event(what, details))

    def tell_seldom(self, now: float, what: str, reason: str) -> None:
        """Count something that may come often, and tell it once in SELDOM seconds with the count since."""
        if reason not in self._counts and len(self._counts) >= 64:  # reasons hold names from the line
            self._counts.clear()
            self._told.clear()
        self._counts[reason] = self._counts.get(reason, 0) + 1
        if now - self._told.get(reason, -1e9) >= SELDOM:
            self.tell(what, reason=reason, times=self._counts.pop(reason))
            self._told[reason] = now

    def take(self) -> list[Event]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events
