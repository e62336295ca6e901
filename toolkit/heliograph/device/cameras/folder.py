"""A watched folder: pictures that another program puts there, each once, in order."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from pathlib import Path
from typing import NamedTuple

from heliograph.device.cameras.camera import Camera, Picture
from heliograph.errors import CameraError, PictureError
from heliograph.files import write_whole

SETTLE = 2.0  # seconds without a change after which a file is taken for complete
GIVE_UP = 60.0  # seconds without a change after which a file that is no picture is passed over
_log = logging.getLogger(__name__)


class _File(NamedTuple):
    """A state of a file; one that is written anew, as a camera's latest.jpg is, is a new picture."""

    modified: int  # nanoseconds, first: files are taken in this order
    name: str
    size: int


class WatchedFolder(Camera):
    """New pictures of a folder, oldest first by the time they were last changed, then by name.

    A file is complete when it has not changed for SETTLE seconds and decodes to its end; hidden files and other
    suffixes than a picture's are not looked at. A file that does not decode is tried again until it
    has not changed for GIVE_UP seconds; then it is passed over, with a line in the log. What was taken is
    remembered over restarts in a file in `memory`: as soon as `taken` returns a file never comes again. One that
    was read but not `taken`, because power failed between, does.

    Args:
        folder: is watched, not the folders in it; nothing is written there.
        memory: a folder for the file of what was taken; None remembers for as long as this object lives.
    """

    holds_pictures = True

    def __init__(self, folder: Path, memory: Path | None = None) -> None:
        self._folder = folder
        self._memory = None
        if memory is not None:
            name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]
            self._memory = memory / f".taken-{name}"
        self._taken: set[_File] = set()
        self._looked: dict[_File, float] = {}  # monotonic time of the first look at each that waits
        self._last: _File | None = None

    def open(self) -> None:
        """Read what was taken before; CameraError if there is no such folder."""
        if not self._folder.is_dir():
            raise CameraError(f"there is no folder {self._folder}: make it, or check its name")
        self._last = None
        if self._memory is None:
            return
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        there = set(self._files())
        with contextlib.suppress(FileNotFoundError):
            for line in self._memory.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError):  # the end of a line that a power cut left
                    self._taken.add(_File(*json.loads(line)))
        self._taken &= there  # what is gone need not be remembered
        write_whole(self._memory, "".join(map(_line, sorted(self._taken))).encode())

    def read(self) -> Picture | None:
        """Return the next complete picture; None if there is none. Waits up to SETTLE for one just written."""
        picture = self._next()
        if picture is None and self._looked:
            time.sleep(SETTLE)
            picture = self._next()
        return picture

    def close(self) -> None:
        """Forget the picture read last, if it was not taken."""
        self._last = None

    def taken(self) -> None:
        """Remember the picture read last, on the disk when this returns."""
        if self._last is not None:
            self._remember(self._last)
            self._last = None

    def _files(self) -> list[_File]:
        from heliograph.pictures import SUFFIXES

        files = []
        try:
            for entry in os.scandir(self._folder):
                if Path(entry.name).suffix.lower() in SUFFIXES and not entry.name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):
                        about = entry.stat()
                        files.append(_File(about.st_mtime_ns, entry.name, about.st_size))
        except OSError as error:
            raise CameraError(f"cannot read folder {self._folder}: {error.strerror}; check it") from error
        return sorted(files)

    def _next(self) -> Picture | None:
        from heliograph.pictures import load_srgb

        now, wall = time.monotonic(), time.time()
        there = [file for file in self._files() if file not in self._taken]
        self._looked = {file: self._looked.get(file, now) for file in there}
        for file in there:
            # By the file's own time if that is sensible, else by how long it has been seen like this.
            still = max(now - self._looked[file], wall - file.modified / 1e9)
            if still < SETTLE:
                continue
            try:
                picture = load_srgb(self._folder / file.name)
            except PictureError as error:
                if now - self._looked[file] >= GIVE_UP:
                    _log.warning("passed over: %s", error)
                    self._remember(file)
                continue
            del self._looked[file]
            self._last = file
            return picture
        return None

    def _remember(self, file: _File) -> None:
        self._taken.add(file)
        self._looked.pop(file, None)
        if self._memory is not None:
            with self._memory.open("a", encoding="utf-8") as handle:
                handle.write(_line(file))
                handle.flush()
                os.fsync(handle.fileno())


def _line(file: _File) -> str:
    return json.dumps(file) + "\n"
