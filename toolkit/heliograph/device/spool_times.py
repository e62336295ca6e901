"""The times in the names of a spool: they rise whatever the clock does, and come back where it was far ahead."""

from __future__ import annotations

import ctypes
import logging
import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from heliograph.files import sync_folder

FORM = "%Y%m%dT%H%M%S.%fZ"
CHARACTERS = 23  # 20261125T003059.123456Z
UNSET = "20240101T000000.000000Z"  # UTC as all here; a clock that says less has not been set
WRITTEN = datetime(
    2026, 11, 1
)  # one that says more has been, or goes on from where it stood when power failed
AHEAD = timedelta(days=366)  # no board was off for longer and starts with such a clock
SLIGHTLY = timedelta(hours=1)  # that a clock may go back without a word, as it does when power fails
_TIME_ERROR = 5  # of adjtimex: nothing keeps the clock right
_log = logging.getLogger(__name__)


def _parse(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, FORM)
    except ValueError:
        return None


def after(moment: str) -> str:
    """Return the time a microsecond later; the empty text, before all times, where there is none."""
    parsed = _parse(moment)
    return "" if parsed in (None, datetime.max) else (parsed + timedelta(microseconds=1)).strftime(FORM)


def is_wrong(moment: str, now: str) -> bool:
    """Return whether a time was given while the clock was wrong: by one that is set it is over a year ahead."""
    given, clock = _parse(moment), _parse(now)
    if given is None or clock is None:
        return False
    return given.year == datetime.max.year or (clock >= WRITTEN and given - clock > AHEAD)


def is_late(moment: str, now: str) -> bool:
    """Return whether a time is more than an hour ahead of the clock."""
    given, clock = _parse(moment), _parse(now)
    return given is not None and clock is not None and given - clock > SLIGHTLY


def read_time(lock: int) -> str:
    """Return the time last given, or the empty text if none was or the file is damaged."""
    text = os.pread(lock, CHARACTERS, 0).decode("ascii", "replace")
    return "" if _parse(text) is None else text


def write_time(lock: int, moment: str) -> None:
    """Note the time last given; on the disk when this returns."""
    os.pwrite(lock, moment.encode("ascii"), 0)  # in place, within one sector: whole or not at all
    os.fdatasync(lock)


def is_synchronised() -> bool:
    """Return whether the system says that something, NTP as a rule, keeps its clock right."""
    asked = ctypes.create_string_buffer(512)  # a struct timex, and more: of zeros it changes nothing
    try:
        return 0 <= int(ctypes.CDLL(None).adjtimex(asked)) < _TIME_ERROR
    except (OSError, AttributeError):
        return False


class Times:
    """Gives the times of new names; its methods are called by whoever holds the spool's lock.

    A clock that is set while this runs, or that the system keeps right, is believed, and so is any where no stream
    waits whose name contradicts it.

    Args:
        folder: of the spool.
        added: returns the names in it that begin with a time, in order.
    """

    def __init__(self, folder: Path, added: Callable[[], list[str]]) -> None:
        self._folder, self._added = folder, added
        self._has_told = False  # that the clock is behind
        self._start: datetime | None = None  # by the clock, of the monotonic one
        self._was_set_back = False
        self._unset: set[str] = set()  # times given by a clock that was not set

    def newest(self, now: str = "~") -> str:
        """Return the latest time in the folder, the empty text if none; given the clock's, of those not ahead of it."""
        moments = (name[:CHARACTERS] for name in self._added())
        return max((m for m in moments if after(m) and not is_wrong(m, now) and m <= now), default="")

    def next(self, lock: int, now: str) -> str:
        """Return the time of a new name, later than all before; where the clock was ahead, after mending that."""
        self._look_at_clock(now)
        last = read_time(lock)
        if is_wrong(last, now) or (is_late(last, now) and self._is_believed(now)):
            last = self._mend(lock, last, now)
        elif is_late(last, now) and not self._has_told:
            self._has_told = True
            text = (
                "spool %s: the clock says %s, and names go on from %s until it is past that; check the clock"
            )
            _log.warning(text, self._folder, now, last)
        moment = max(now, after(last))
        if moment == now < UNSET:
            self._unset.add(now)
        return moment

    def _look_at_clock(self, now: str) -> None:
        """Note where the clock was set since the last time."""
        clock = _parse(now)
        if clock is None:
            return
        start, self._start = self._start, clock - timedelta(seconds=time.monotonic())
        jump = timedelta() if start is None else self._start - start
        if abs(jump) > SLIGHTLY:
            self._was_set_back = jump < timedelta()
            if now >= UNSET and self._unset:
                self._set(jump, now)

    def _set(self, jump: timedelta, now: str) -> None:
        """Give streams their true times that were named before the clock was set."""
        count = 0
        for name in reversed(self._added()):  # the newest first: whenever power fails, their order is kept
            given = _parse(name[:CHARACTERS])
            if given is None or name[:CHARACTERS] not in self._unset:
                continue
            if (moment := (given + jump).strftime(FORM)) < now:
                (self._folder / name).rename(self._folder / (moment + name[CHARACTERS:]))
                count += 1
        sync_folder(self._folder)
        self._unset.clear()
        text = "spool %s: the clock was not set, and says %s now: %d streams were given their times"
        _log.warning(text, self._folder, now, count)

    def _is_believed(self, now: str) -> bool:
        if now < UNSET:
            return False
        contradicting = any(is_late(name[:CHARACTERS], now) for name in self._added())
        return self._was_set_back or not contradicting or is_synchronised()

    def _mend(self, lock: int, last: str, now: str) -> str:
        """Rename streams that are named ahead, in their order, to times from now on; return a time after these."""
        moment, count = max(now, after(self.newest(now))), 0
        for name in self._added():
            if name[:CHARACTERS] > now and _parse(name[:CHARACTERS]) is not None:
                # One by one and the oldest first: whenever power fails, what is renamed sorts before what is not.
                (self._folder / name).rename(self._folder / (moment + name[CHARACTERS:]))
                moment, count = after(moment), count + 1
        sync_folder(self._folder)
        write_time(lock, moment)
        self._was_set_back = self._has_told = False
        text = "spool %s: the clock was ahead, at %s, and says %s now: names go on there, %d streams were renamed"
        _log.warning(text, self._folder, last, now, count)
        return moment
