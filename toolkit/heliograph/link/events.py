"""What the link tells the outside: events, for a line on a terminal or a JSON object per line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something worth telling.

    Attributes:
        what: "connected", "sent", "received", "noise", "refused", ... each documented where it is made.
        details: plain numbers and texts.
    """

    what: str
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return one flat object."""
        return {"event": self.what, **self.details}

    def __str__(self) -> str:
        return f"{self.what}: " + ", ".join(f"{name} {value}" for name, value in self.details.items())
