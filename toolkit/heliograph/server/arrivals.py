"""Which stream came after which, and when, where clocks are wrong: those of devices, and this machine's own.

The time in a name is the device's. The time of a file is this machine's, and may be of a clock that was wrong then or
is wrong now. So files that are there at the first look are in the order of their times, and whatever is new or has
grown at a later look came after them. A file of a time that has not come yet counts as come when that was seen.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from datetime import datetime, timezone

_FORM = "%Y%m%dT%H%M%S.%fZ"
_CHARACTERS = 23  # 20261125T003059.123456Z
SLACK = 2.0  # seconds that a file may be ahead: another machine's clock, on a file system of the network
_log = logging.getLogger(__name__)


def taken(name: str) -> float | None:
    """Return the time that a stream's name begins with, in seconds since 1970; None if it does not."""
    try:
        moment = datetime.strptime(name[:_CHARACTERS], _FORM)
        return moment.replace(tzinfo=timezone.utc).timestamp()
    except (ValueError, OverflowError):
        return None


class Arrivals:
    """The order in which files came, and a time for each."""

    def __init__(self) -> None:
        # Of devices the files, with their times in nanoseconds, their order, and when they came.
        self._of: dict[str, dict[str, tuple[int, int, float]]] = {}
        self._count = 0
        self._looked = -math.inf
        self._has_told = False

    def note(self, files: Iterable[tuple[str, str, int]]) -> None:
        """Note what is there now: devices, files, and their times in nanoseconds."""
        now = time.time()
        fresh = sorted((at, file, device) for device, file, at in files if self._is_news(device, file, at))
        for at, file, device in fresh:
            self._count += 1
            self._of.setdefault(device, {})[file] = at, self._count, at / 1e9
        if now < self._looked:  # the clock was set back: what came before may be ahead of it now
            places = [(device, file) for device, files_of in self._of.items() for file in files_of]
        else:
            places = [(device, file) for _, file, device in fresh]
        self._looked = now
        ahead = 0.0
        for device, file in places:
            at, order, came = self._of[device][file]
            if came > now:
                ahead = max(ahead, came - now)
                self._of[device][file] = at, order, now
        if ahead > SLACK and not self._has_told:
            self._has_told = True
            _log.warning(
                "files came up to %s ahead of this machine's clock, which was wrong then or is wrong now: "
                "pictures are shown in the order in which they came",
                _span(ahead),
            )

    def of(self, device: str, file: str) -> tuple[int, float]:
        """Return the place of a file in the order, and when it came in seconds since 1970; zeros if unknown."""
        _, order, came = self._of.get(device, {}).get(file, (0, 0, 0.0))
        return order, came

    def keep(self, device: str, files: set[str]) -> None:
        """Forget the files of a device that are not among these."""
        known = self._of.get(device, {})
        for file in known.keys() - files:
            del known[file]

    def _is_news(self, device: str, file: str, at: int) -> bool:
        known = self._of.get(device, {}).get(file)
        return known is None or known[0] != at


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
