"""What the link tells the outside: events, for a line on a terminal or a JSON object per line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SELDOM = 10.0  # seconds between two events that are alike and that noise or an attacker can cause
MOST = 16  # of a kind in that time
Details = tuple[tuple[str, object], ...]


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


@dataclass
class _Kind:
    """What was told of a kind of events since `began`, and how often what was not, or not yet."""

    began: float = float("-inf")
    told: set[Details] = field(default_factory=set)
    counts: dict[Details, int] = field(default_factory=dict)
    untold: int = 0


class Log:
    """Events until they are taken."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._kinds: dict[str, _Kind] = {}

    def tell(self, what: str, **details: object) -> None:
        """Add an event."""
        self._events.append(Event(what, details))

    def tell_seldom(self, now: float, what: str, **details: object) -> None:
        """Add an event that noise or an attacker can cause: of a kind MOST at most in SELDOM seconds, each once.

        It has `times` it happened since it was told before, and `untold` events of its kind that were too many.
        """
        kind, key = self._kinds.setdefault(what, _Kind()), tuple(details.items())
        if now - kind.began >= SELDOM:
            kind.began, kind.told = now, set()
        if key not in kind.counts and len(kind.counts) >= MOST:
            kind.untold += sum(kind.counts.values())
            kind.counts.clear()
        kind.counts[key] = kind.counts.get(key, 0) + 1
        if key in kind.told or len(kind.told) >= MOST:
            return
        kind.told.add(key)
        untold = {"untold": kind.untold} if kind.untold else {}
        self.tell(what, **details, times=kind.counts.pop(key), **untold)
        kind.untold = 0

    def take(self) -> list[Event]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events
