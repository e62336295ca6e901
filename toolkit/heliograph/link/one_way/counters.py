"""Counters that only rise, across restarts and power cuts: what one-way replay protection rests on."""

from __future__ import annotations

import json
import time
from pathlib import Path

from heliograph.errors import LinkError
from heliograph.files import make_folder, replace_whole, write_whole
from heliograph.link.transfer.partial import keeping

COUNTER_BYTES = 6
BLOCK = 1 << 12  # numbers reserved by a write; a restart skips what is left of them
PER_SECOND = (
    10  # bits: a lost file is made up for by the clock, as long as fewer than 1024 frames a second went
)


class SendingCounter:
    """The number of the next frame, never one that was used before.

    It begins at the file's number or at the clock's, whichever is higher, so that a device whose file was lost
    is still accepted if its clock is right.

    Raises:
        LinkError: the file is damaged.
        OutputError: it cannot be written; also from `next`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            stored = int(path.read_text(encoding="ascii"))
        except FileNotFoundError:
            stored = 0
        except (OSError, ValueError) as error:
            raise LinkError(
                f"counter file {path} cannot be used ({error}); remove it if the device's clock is right"
            ) from error
        self._next = max(stored, int(time.time()) << PER_SECOND)
        self._reserved = self._next

    def next(self) -> int:
        """Return a number and count on."""
        if self._next >= self._reserved:
            self._reserved = self._next + BLOCK
            write_whole(self._path, f"{self._reserved}\n".encode())
        self._next += 1
        return self._next - 1


class SeenCounters:
    """The highest number accepted of every source; `save` makes them last.

    Raises:
        LinkError: the file is damaged.
        OutputError: from `save`, it cannot be written; NotNowError if the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_saved = True
        try:
            numbers = json.loads(path.read_text(encoding="ascii"))
            self._seen = {bytes.fromhex(source): int(number) for source, number in numbers.items()}
        except FileNotFoundError:
            self._seen = {}
        except (OSError, ValueError, AttributeError) as error:
            raise LinkError(
                f"counter file {path} cannot be used ({error}); without it old frames would be accepted again: "
                "restore it, or remove it if nobody could have recorded any"
            ) from error

    def accept(self, source: bytes, number: int) -> bool:
        """Return whether a number is above all seen of its source, and remember it."""
        if number <= self._seen.get(source, -1):
            return False
        self._seen[source] = number
        self._is_saved = False
        return True

    def save(self) -> None:
        """Bring the numbers to the disk."""
        if not self._is_saved:
            text = json.dumps({source.hex(): number for source, number in sorted(self._seen.items())})
            with keeping(self._path):
                make_folder(self._path.parent)
                replace_whole(self._path, text.encode())
            self._is_saved = True
