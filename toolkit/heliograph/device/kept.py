"""Streams that were sent, in folders of the spool: they wait there until capture takes them into its memory.

A folder is made by who wants what comes into it; where it is not, what was sent is gone. A stream gets there in one
renaming: whenever power fails, it is in the spool or there. What nobody takes is bounded, the oldest goes first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from heliograph.files import make_folder, read_regular, sync_folder

CONFIRMED, SENT = "confirmed", "sent"  # by the receiver; where nobody answers
MOST, MOST_BYTES = 64, 4 << 20  # streams that wait to be taken
MEMORY = "memory"  # of what was taken
_SUFFIX = ".helio"
_MOST_STREAM = 1 << 30


class Kept:
    """A folder of streams that were sent; OSError of every method."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def is_wanted(self) -> bool:
        """Whether the folder is there, and no link."""
        return self.folder.is_dir() and not self.folder.is_symlink()

    def want(self) -> None:
        """Make the folder."""
        make_folder(self.folder)

    def take(self, path: Path) -> None:
        """Move a file here, and remove the oldest beyond the bounds; the caller holds the spool's lock."""
        path.replace(self.folder / path.name)
        sizes = {name: (self.folder / name).stat().st_size for name in self.names()}
        total = sum(sizes.values())
        for number, name in enumerate(sizes):
            if len(sizes) - number <= MOST and total <= MOST_BYTES:
                break
            total -= sizes[name]
            (self.folder / name).unlink(missing_ok=True)
        sync_folder(self.folder)

    def names(self) -> list[str]:
        """Return the names of all streams here, oldest first."""
        entries = [entry for entry in os.scandir(self.folder) if entry.is_file(follow_symlinks=False)]
        return sorted(entry.name for entry in entries if entry.name.endswith(_SUFFIX))

    def streams(self) -> Iterator[tuple[str, bytes]]:
        """Yield the streams, oldest first."""
        for name in self.names():
            try:
                yield name, read_regular(self.folder / name, _MOST_STREAM)
            except FileNotFoundError:  # went beyond the bounds just now
                continue

    def remove(self, name: str) -> None:
        """Remove a stream; one that is not there is no error."""
        (self.folder / name).unlink(missing_ok=True)
