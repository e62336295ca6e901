"""A watched folder: pictures that another program puts there, each once, in order."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
import time
from pathlib import Path

from heliograph.codec import tiles
from heliograph.device.cameras.camera import Camera, Picture
from heliograph.device.cameras.memory import File, Memory
from heliograph.errors import CameraError, PictureError

SETTLE = 2.0  # seconds without a change after which a file is taken for complete
GIVE_UP = 60.0  # seconds without a change after which a file that is no picture is passed over
ATTEMPTS = 2  # of processes that ended with a picture in hand; then it is set aside
_log = logging.getLogger(__name__)


class WatchedFolder(Camera):
    """New pictures of a folder, oldest first by the time they were last changed, then by name.

    A file is complete when it has not changed for SETTLE seconds and decodes to its end; hidden files, other
    suffixes than a picture's, and what is no file are not looked at. A file that does not decode is tried again until
    it has not changed for GIVE_UP seconds; then it is passed over, with a line in the log. What was taken is
    remembered over restarts in a file in `memory`: as soon as `taken` returns a file never comes again. One that
    was read but not `taken`, because power failed between, does; but one that was in hand when ATTEMPTS processes
    ended without a word, killed for memory perhaps, is set aside, with a line in the log.

    Args:
        folder: is watched, not the folders in it; nothing is written there.
        memory: a folder for the file of what was taken; None remembers for as long as this object lives.
        max_pixels: of a picture; a larger one is passed over before it is decoded.
    """

    holds_pictures = True

    def __init__(
        self, folder: Path, memory: Path | None = None, *, max_pixels: int = tiles.MAX_PIXELS
    ) -> None:
        self._folder, self._max_pixels = folder, max_pixels
        path = None
        if memory is not None:
            name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]
            path = memory / f".taken-{name}"
        self._memory = Memory(path)
        self._looked: dict[File, float] = {}  # monotonic time of the first look at each that waits
        self._harmless: set[File] = set()  # they did not decode, and did no harm
        self._last: File | None = None

    def open(self) -> None:
        """Read what was taken before, and set aside what ended processes; CameraError if there is no such folder."""
        if not self._folder.is_dir():
            raise CameraError(f"there is no folder {self._folder}: make it, or check its name")
        self._last = None
        there = self._files()
        self._memory.load(there)
        for file in there:
            if self._memory.begun(file) >= ATTEMPTS:
                _log.warning(
                    "set aside: %s was being read or encoded each of %d times that capture was killed or lost power; "
                    "make it smaller, or give it again",
                    self._folder / file.name,
                    ATTEMPTS,
                )
                self._memory.take(file)

    def read(self) -> Picture | None:
        """Return the next complete picture; None if there is none. Waits up to SETTLE for one just written."""
        picture = self._next()
        if picture is None and self._looked:
            time.sleep(SETTLE)
            picture = self._next()
        return picture

    def close(self) -> None:
        """Forget the picture read last, if it was not taken."""
        if self._last is not None:
            self._memory.live(self._last)
            self._last = None

    def taken(self) -> None:
        """Remember the picture read last, on the disk when this returns."""
        if self._last is not None:
            self._memory.take(self._last)
            self._last = None

    def _files(self) -> list[File]:
        from heliograph.pictures import SUFFIXES

        files = []
        try:
            for entry in os.scandir(self._folder):
                if Path(entry.name).suffix.lower() in SUFFIXES and not entry.name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):
                        about = entry.stat()
                        if stat.S_ISREG(about.st_mode):
                            files.append(File(about.st_mtime_ns, entry.name, about.st_size))
        except OSError as error:
            raise CameraError(f"cannot read folder {self._folder}: {error.strerror}; check it") from error
        return sorted(files)

    def _next(self) -> Picture | None:
        now, wall = time.monotonic(), time.time()
        there = [file for file in self._files() if file not in self._memory.taken]
        self._looked = {file: self._looked.get(file, now) for file in there}
        self._harmless.intersection_update(there)
        for file in there:
            # By the file's own time if that is sensible, else by how long it has been seen like this.
            still = max(now - self._looked[file], wall - file.modified / 1e9)
            if still < SETTLE:
                continue
            try:
                picture = self._read(file)
            except PictureError as error:
                if now - self._looked[file] >= GIVE_UP:
                    _log.warning("passed over: %s", error)
                    self._memory.take(file)
                    del self._looked[file]
                continue
            del self._looked[file]
            self._last = file
            return picture
        return None

    def _read(self, file: File) -> Picture:
        """Return a picture, an attempt noted on the disk; PictureError, after which it is noted that all is well."""
        from heliograph.pictures import load_srgb

        if file not in self._harmless:
            self._memory.begin(file)
        try:
            return load_srgb(self._folder / file.name, max_pixels=self._max_pixels)
        except PictureError:
            if file not in self._harmless:
                self._memory.live(file)
                self._harmless.add(file)
            raise
