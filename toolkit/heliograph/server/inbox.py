"""The inbox, the folder that `heliograph receive` writes: whole and arriving streams as DIR/<device>/<name>."""

from __future__ import annotations

import contextlib
import heapq
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from heliograph.codec import container
from heliograph.errors import StreamError
from heliograph.link.transfer.partial import arrived
from heliograph.link.wire.names import is_device, is_stream

PARTIAL = ".partial"
RECENT = 200_000_000  # nanoseconds
NO_DEVICE = ""  # of streams that lie in the folder itself


@dataclass(frozen=True)
class Entry:
    """A stream in an inbox as it was when it was looked at.

    Attributes:
        name: ends in .helio, also while it arrives. It may begin with a time, which is what a device says it is.
        held, size: bytes that are there, and that it will have; 0 if that is not known yet.
        changed: when the last of it arrived, in seconds since 1970.
        version: differs when the file does.
    """

    device: str
    name: str
    path: Path
    is_whole: bool
    held: int
    size: int
    changed: float
    version: tuple[int, int, bool]

    @property
    def key(self) -> tuple[str, str]:
        """Device and name."""
        return self.device, self.name

    def pixels(self) -> int:
        """Return how many pixels it claims to have; 0 if it does not."""
        try:
            with self._opened() as file:
                width, height = container.claimed_size(file.read(32))
        except OSError:
            return 0
        return width * height

    def _opened(self) -> BinaryIO:
        # Without O_NONBLOCK a pipe that took a stream's place since the look would be waited for.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.fdopen(os.open(self.path, flags), "rb")

    def read(self) -> bytes:
        """Return its bytes; StreamError if it is gone, or is a link: what a device names must lie in its folder."""
        try:
            with self._opened() as file:
                return file.read()
        except OSError as error:
            raise StreamError(
                f"cannot read {self.path}: {error.strerror}; it may have been moved away"
            ) from error


def _arrival(stream: Entry) -> tuple[float, str, str]:
    return stream.changed, stream.name, stream.device


class Inbox:
    """A folder of streams that is looked at again and again.

    Names that no receiver gives are passed over, and so are links.

    Args:
        latest: streams of each device that are looked at, the last that arrived; None for all.
        flat: streams lie in the folder itself too.

    Attributes:
        passed: (device, name) of whole streams that need not be looked at again.
    """

    def __init__(self, folder: Path, *, latest: int | None = None, flat: bool = False) -> None:
        self.folder, self._latest, self._flat = folder, latest, flat
        self.passed: set[tuple[str, str]] = set()
        self._listed: dict[str, tuple[int, list[str]]] = {}

    def look(self) -> list[Entry]:
        """Return the streams that are there, latest first; a folder that is not there yet is empty."""
        try:
            with os.scandir(self.folder) as listing:
                devices = [e.name for e in listing if is_device(e.name) and e.is_dir(follow_symlinks=False)]
        except OSError:
            return []
        entries: list[Entry] = []
        for device in [*devices, *([NO_DEVICE] if self._flat else [])]:
            entries += self._of(device)
        return sorted(entries, key=_arrival, reverse=True)

    def find(self, device: str, name: str) -> Entry | None:
        """Return a stream by its names, which may be anything; None if there is none."""
        if not (is_device(device) and is_stream(name)) or (self.folder / device).is_symlink():
            return None
        return self._stream(device, name, name) or self._stream(device, name, name + PARTIAL)

    def _of(self, device: str) -> list[Entry]:
        folder = self.folder / device
        try:
            # The folder's time changes when a name comes or goes: the names of thousands are not read each time.
            stamp = folder.stat().st_mtime_ns
            known = self._listed.get(device)
            if known is None or known[0] != stamp:
                kept = self._names(folder)
                # Times of files are a few milliseconds coarse: another name may come under the same one.
                is_recent = abs(time.time_ns() - stamp) < RECENT
                known = self._listed[device] = -1 if is_recent else stamp, kept
        except OSError:
            return []
        streams: dict[str, Entry] = {}
        for file in known[1]:
            name = file.removesuffix(PARTIAL)
            if (device, name) in self.passed or (name in streams and streams[name].is_whole):
                continue
            if (stream := self._stream(device, name, file)) is not None:
                streams[name] = stream
        return heapq.nlargest(self._latest or len(streams), streams.values(), key=_arrival)

    def _names(self, folder: Path) -> list[str]:
        """Return the names of streams in a folder, of the latest to arrive; OSError."""
        with os.scandir(folder) as listing:
            streams = [entry for entry in listing if is_stream(entry.name.removesuffix(PARTIAL))]
        if self._latest is None:
            return [entry.name for entry in streams]
        arrived = []
        for entry in streams:
            with contextlib.suppress(OSError):  # gone by now
                arrived.append((entry.stat(follow_symlinks=False).st_mtime, entry.name))
        return [name for _, name in heapq.nlargest(2 * self._latest, arrived)]

    def _stream(self, device: str, name: str, file: str) -> Entry | None:
        path = self.folder / device / file
        try:
            status = path.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        is_whole = file == name
        held, size = (status.st_size, status.st_size) if is_whole else arrived(path)
        version = status.st_mtime_ns, status.st_size, is_whole
        return Entry(device, name, path, is_whole, held, size, status.st_mtime, version)
