"""When streams came, where clocks are wrong: those of devices, and this machine's own.

The time in a name is the device's. The time of a file is this machine's, and may be of a clock that was ahead then, or
is behind now. A file of a time that has not come yet counts as come when that was seen first: after all that was there,
and before all that comes. Several of them are in the order of their own times.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timezone

_FORM = "%Y%m%dT%H%M%S.%fZ"
_CHARACTERS = 23  # 20261125T003059.123456Z
SLACK = 2.0  # seconds that a file may be ahead: of another machine's clock, on a file system of the network
_log = logging.getLogger(__name__)


def taken(name: str) -> float | None:
    """Return the time that a stream's name begins with, in seconds since 1970; None if it does not."""
    try:
        moment = datetime.strptime(name[:_CHARACTERS], _FORM)
        return moment.replace(tzinfo=timezone.utc).timestamp()
    except (ValueError, OverflowError):
        return None


class Arrivals:
    """When files came that are of times that had not come when they were first seen, and of all others."""

    def __init__(self) -> None:
        self._ahead: dict[
            str, dict[str, tuple[int, float]]
        ] = {}  # of devices the files: their times, when they came
        self._looked = self._now = self._first_seen = 0.0
        self._has_told = False

    def look(self) -> None:
        """Begin a look at the files."""
        before, looked = self._now, self._looked
        self._now, self._looked = time.time(), time.monotonic()
        # Where the clock was set back, what is ahead of it was there at the last look, before what came since.
        self._first_seen = self._now - (self._looked - looked if self._now < before else 0.0)

    def of(self, device: str, file: str, at: int) -> float:
        """Return when a file of a time in nanoseconds came, in seconds since 1970; never later than this look."""
        known, came = self._ahead.get(device, {}).get(file, (at, at / 1e9))
        if known != at:
            came = at / 1e9
        if came > self._now:
            self._tell(came - self._now)
            came = self._first_seen
            self._ahead.setdefault(device, {})[file] = at, came
        return came

    def keep(self, device: str, files: set[str]) -> None:
        """Forget the files of a device that are not among these."""
        ahead = self._ahead.get(device, {})
        for file in ahead.keys() - files:
            del ahead[file]

    def _tell(self, seconds: float) -> None:
        if seconds > SLACK and not self._has_told:
            self._has_told = True
            _log.warning(
                "files came %s ahead of this machine's clock, which was wrong then or is wrong now: pictures are "
                "shown in the order in which they came",
                _span(seconds),
            )


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
