"""What is to happen in a soak, and what is promised: the bound of a picture's way, worked out from the plan."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

from heliograph.bench.soak_field import LARGEST, LONGEST_CUT
from heliograph.bench.soak_hostile import LONGEST
from heliograph.link.drive import LAST_RETRY
from heliograph.link.events import MOST, SELDOM
from heliograph.link.port import BITS_PER_BYTE
from heliograph.link.transfer.pace import MOST_TIMEOUT
from heliograph.link.transfer.patience import FIRST_PAUSE, LAST_PAUSE, LAST_SPACING, pause
from heliograph.link.transfer.sender import GIVE_UP_AFTER, LAST_HELLO, POLL

FLAT = 1.03  # the most that memory in the second half may be of the first half's
OWN_FILES = 8  # that a receiver has open beside one for each device
STRANGERS = 8  # devices beyond the honest ones that a receiver gives a folder
CUTS, FLOODS, FORGED = 3, 3, 2  # that may hit one picture, one after the other; rejections only without a key
SHARING = 4.0  # devices that share a line take so many times what they would take one after the other
_KEPT = 16 << 10  # bytes on the disk for a picture and what is noted of it
_SPARE = 1 << 20  # of a quota and of the disk
_KINDS, _LINE = 6, 300  # kinds of events that a flood causes, bytes of a line of the log
_SAMPLES = 600


@dataclass(frozen=True)
class Plan:
    """Times in seconds, sizes in bytes, `rate` in bytes a second: what floods leave of a line.

    Attributes:
        fills: from when to when the disk is full, after the beginning.
    """

    seconds: float
    every: float
    lines: int
    per_line: int
    rate: float
    full_for: float
    fills: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, options: argparse.Namespace) -> Plan:
        """Return the plan of a command line: the disk is full evenly over the run."""
        seconds = 60 * options.minutes
        starts = [(n + 0.4) * seconds / options.fills for n in range(options.fills)]
        return cls(
            seconds,
            options.every,
            options.lines,
            math.ceil(options.devices / options.lines),
            options.baud / BITS_PER_BYTE * (1 - options.flood_share),
            options.full_for,
            tuple((start, start + options.full_for) for start in starts),
        )

    @property
    def warm_up(self) -> float:
        """Seconds before which nothing is hostile and memory does not count."""
        return self.seconds / 10

    @property
    def sample_every(self) -> float:
        return max(self.seconds / _SAMPLES, 0.25)

    @property
    def pictures(self) -> float:
        """Pictures of a device."""
        return self.seconds / self.every

    @property
    def device_quota(self) -> int:
        """Twice what an honest device needs."""
        return int(2 * self.pictures * _KEPT) + _SPARE

    @property
    def disk(self) -> int:
        """What all need, and what strangers can take."""
        return self.lines * (self.per_line + STRANGERS) * self.device_quota // 2 + 4 * _SPARE

    def is_full(self, at: float) -> bool:
        """Return whether the disk is to be full at a time."""
        return any(start <= at < end for start, end in self.fills)

    def is_near_full(self, made: float) -> bool:
        """Return whether a picture of a time may meet a full disk, or what that refused."""
        usual = sum(self._usual().values())
        return any(start - usual < made < end + self._pause for start, end in self.fills)

    def terms(self, made: float, *, is_keyed: bool) -> dict[str, float]:
        """Return the parts of the bound for a picture of a time, on a line with a key or without."""
        parts = self._usual()
        if not is_keyed:
            parts[f"rejected {FORGED} times in the receiver's place"] = sum(map(pause, range(FORGED)))
        if self.is_near_full(made):
            parts |= {
                "the disk is full": self.full_for,
                "until it is announced again": self._pause,
                "what has gathered meanwhile": self._queue((self.full_for + self._pause) / self.every),
            }
        return parts

    @property
    def most_files(self) -> int:
        """The most files that a receiver may have open."""
        return self.per_line + STRANGERS + OWN_FILES

    @property
    def most_log(self) -> int:
        """The most bytes that a receiver may log in a minute: of each kind of events, and of pictures."""
        pictures = self.per_line * (60 + self.full_for + self._pause) / self.every
        return int(_LINE * ((60 / SELDOM + 1) * MOST * _KINDS + 2 * pictures))

    @property
    def _pause(self) -> float:
        return min(self.full_for + FIRST_PAUSE, LAST_PAUSE) + LAST_SPACING

    def _usual(self) -> dict[str, float]:
        cut = LONGEST_CUT + LAST_RETRY + (GIVE_UP_AFTER + 1) * MOST_TIMEOUT + LAST_HELLO
        return {
            "a look into the spool": POLL,
            f"{CUTS} cuts, each until there is a session again": CUTS * cut,
            f"{FLOODS} floods": FLOODS * LONGEST,
            "the other devices of the line": self._queue(1.0),
        }

    def _queue(self, pictures: float) -> float:
        return self.per_line * max(pictures, 1.0) * LARGEST * SHARING / self.rate
