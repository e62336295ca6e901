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
from heliograph.server.arrivals import Arrivals

PARTIAL = ".partial"
RECENT = 200_000_000  # nanoseconds
NO_DEVICE = ""  # of streams that lie in the folder itself


@dataclass(frozen=True)
class Entry:
    """A stream in an inbox as it was when it was looked at.

    Attributes:
        name: ends in .helio, also while it arrives. It may begin with a time, which is what a device says it is.
        held, size: bytes that are there, and that it will have; 0 if that is not known yet.
        changed: when the last of it arrived, in seconds since 1970, never ahead of the clock; see `arrivals`.
        version: differs when the file does; its time in nanoseconds comes first.
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

    @property
    def order(self) -> tuple[float, int, str]:
        """What is higher the later it arrived."""
        return self.changed, self.version[0], self.name

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


def _order(stream: Entry) -> tuple[tuple[float, int, str], str]:
    return stream.order, stream.device


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
        self._arrivals = Arrivals()

    def look(self) -> list[Entry]:
        """Return the streams that are there, latest first; a folder that is not there yet is empty."""
        try:
            with os.scandir(self.folder) as listing:
                devices = [e.name for e in listing if is_device(e.name) and e.is_dir(follow_symlinks=False)]
        except OSError:
            return []
        self._arrivals.look()
        entries: list[Entry] = []
        for device in [*devices, *([NO_DEVICE] if self._flat else [])]:
            entries += self._latest_of(device, self._files(device))
        return sorted(entries, key=_order, reverse=True)

    def find(self, device: str, name: str) -> Entry | None:
        """Return a stream by its names, which may be anything; None if there is none."""
        if not (is_device(device) and is_stream(name)) or (self.folder / device).is_symlink():
            return None
        for file in (name, name + PARTIAL):
            with contextlib.suppress(OSError):
                status = (self.folder / device / file).lstat()
                if stat.S_ISREG(status.st_mode):
                    return self._entry(device, file, status, min(status.st_mtime, time.time()))
        return None

    def _files(self, device: str) -> dict[str, os.stat_result]:
        """Return the files of streams in a device's folder that may be among the latest, and their state now."""
        folder = self.folder / device
        try:
            # The folder's time changes when a name comes or goes: the names of thousands are not read each time.
            stamp = folder.stat().st_mtime_ns
            known = self._listed.get(device)
            if known is None or known[0] != stamp:
                with os.scandir(folder) as listing:
                    names = [entry.name for entry in listing if is_stream(entry.name.removesuffix(PARTIAL))]
                self._arrivals.keep(device, set(names))
                # Times of files are a few milliseconds coarse: another name may come under the same one.
                is_recent = abs(time.time_ns() - stamp) < RECENT
                known = self._listed[device] = -1 if is_recent else stamp, names
        except OSError:
            return {}
        files: dict[str, os.stat_result] = {}
        for file in known[1]:
            if (device, file.removesuffix(PARTIAL)) not in self.passed:
                with contextlib.suppress(OSError):  # gone by now
                    status = (folder / file).lstat()
                    if stat.S_ISREG(status.st_mode):
                        files[file] = status
        return files

    def _latest_of(self, device: str, files: dict[str, os.stat_result]) -> list[Entry]:
        """Return the latest streams of a device; the others are not looked at again until a name comes or goes."""

        def order(file: str) -> tuple[float, int, str]:
            at = files[file].st_mtime_ns
            return self._arrivals.of(device, file, at), at, file

        if self._latest is not None and len(files) > 2 * self._latest:
            kept = heapq.nlargest(2 * self._latest, files, key=order)
            self._listed[device] = self._listed[device][0], kept
        else:
            kept = list(files)
        streams: dict[str, Entry] = {}
        for file in kept:
            stream = self._entry(device, file, files[file], order(file)[0])
            if stream.is_whole or stream.name not in streams:
                streams[stream.name] = stream
        return heapq.nlargest(self._latest or len(streams), streams.values(), key=_order)

    def _entry(self, device: str, file: str, status: os.stat_result, changed: float) -> Entry:
        path, name, at = self.folder / device / file, file.removesuffix(PARTIAL), status.st_mtime_ns
        is_whole = file == name
        held, size = (status.st_size, status.st_size) if is_whole else arrived(path)
        return Entry(device, name, path, is_whole, held, size, changed, (at, status.st_size, is_whole))
