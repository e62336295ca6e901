"""A watched folder: pictures that another program puts there, each once, in order."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from heliograph.codec import tiles
from heliograph.device.cameras.camera import Camera, Picture
from heliograph.device.cameras.listing import Listing
from heliograph.device.cameras.memory import File, Memory
from heliograph.errors import CameraError, PictureError
from heliograph.files import open_regular
from heliograph.pauses import Pauses

SETTLE = 2.0  # seconds without a change after which a file is taken for complete
GIVE_UP = 60.0  # seconds without a change after which a file that is no picture is passed over
ATTEMPTS = 2  # of processes that ended with a picture in hand; then it is set aside
ASIDE, LONGEST_ASIDE = 600.0, 86400.0  # seconds that it is set aside, doubled with each process more
AT_ONCE = 10.0  # seconds in which files are looked into before the loop has its turn: it tells systemd that it lives
AGAIN = 5.0  # seconds after which a folder is looked at again while pictures of the last look are taken
_BLOCK = 1 << 20
_log = logging.getLogger(__name__)


class WatchedFolder(Camera):
    """New pictures of a folder, oldest first by the time they were last changed, then by name.

    A picture is what a file holds: whatever its name, its time and its place, the same content never comes again,
    also after the folder vanished and came back; what was taken is remembered over restarts in a file in `memory`.

    A file is complete when it has not changed for SETTLE seconds and decodes to its end. One that is written anew
    before that, again and again as a camera's latest.jpg, is read between two writes, and gives one picture each time
    that `read` is called until it gives None.

    A file that does not decode is tried again until it has not changed for GIVE_UP seconds; then it is passed over,
    with a line in the log. What fails otherwise is tried again after growing pauses. A picture that was read but not
    `taken`, because power failed between, comes again; one that was in hand when ATTEMPTS processes ended without a
    word, killed for memory perhaps, only after the others and a long pause, with a line in the log.

    Args:
        folder: is watched, with the folders in it; nothing is written there.
        memory: a folder for the file of what was taken; None remembers for as long as this object lives.
        max_pixels: of a picture; a larger one is passed over before it is decoded.
    """

    holds_pictures = True

    def __init__(
        self, folder: Path, memory: Path | None = None, *, max_pixels: int = tiles.MAX_PIXELS
    ) -> None:
        self._folder, self._max_pixels = folder, max_pixels
        self._listing = Listing(folder)
        self._memory = Memory(None if memory is None else memory / ".taken")
        self._pauses, self._aside = Pauses(), Pauses()  # of states of files, and of contents
        self._looked: dict[File, float] = {}  # monotonic time of the first look at each that waits
        self._moving: dict[str, tuple[int, str]] = {}  # size and digest of files that have not settled
        self._began = 0.0  # of the look that goes on
        self._going: Iterator[Picture] | None = None
        self._given: set[str] = set()  # names that gave a picture since `read` gave None
        self._harmless: set[str] = set()  # digests of what did not decode, and did no harm
        self._waits = False  # for a file that may settle soon
        self._last: tuple[str, File, bool] | None = None  # digest, file, and whether that has settled

    def open(self) -> None:
        """Read what was taken before, and set aside what ended processes; CameraError if there is no such folder."""
        if not self._folder.is_dir():
            raise CameraError(f"there is no folder {self._folder}: make it, or check its name")
        self._last = self._going = None
        self._given.clear()
        self._memory.load()
        for digest, (name, times) in self._memory.killers(ATTEMPTS).items():
            if not self._aside.has(digest) and (self._folder / name).exists():
                pause = self._aside.failed(digest, min(ASIDE * 2 ** (times - ATTEMPTS), LONGEST_ASIDE))
                _log.warning(
                    "set aside: %s was being read or encoded each of %d times that capture was killed or lost power; "
                    "it is tried again in %g minutes; make it smaller, or give it again",
                    self._folder / name,
                    times,
                    pause / 60,
                )

    def read(self) -> Picture | None:
        """Return the next complete picture; None if there is none. Waits up to SETTLE for one just written."""
        picture = self._next()
        if picture is None and self._waits and not self.is_busy:
            time.sleep(SETTLE)
            picture = self._next()
        if picture is None and not self.is_busy:
            self._given.clear()
        return picture

    def close(self) -> None:
        """Forget the picture read last, if it was not taken."""
        if self._last is not None:
            self._memory.live(self._last[0])
            self._last = None

    def taken(self) -> None:
        """Remember the picture read last, on the disk when this returns."""
        if self._last is not None:
            digest, file, is_settled = self._last
            self._memory.take(digest, file if is_settled else None)
            self._last = None

    def later(self) -> float | None:
        """Give the picture read last again after a pause, whose seconds are returned."""
        if self._last is None:
            return None
        file = self._last[1]
        self.close()
        return self._pauses.failed(file)

    def _next(self) -> Picture | None:
        while True:
            # The names of thousands are not read for each of them.
            is_fresh = self._going is None or time.monotonic() - self._began > AGAIN
            if is_fresh or self._going is None:
                self._began, self._going = time.monotonic(), self._look()
            picture = next(self._going, None)
            if picture is not None:
                return picture
            self._going = None
            if is_fresh or self.is_busy:
                return None

    def _look(self) -> Iterator[Picture]:
        """Look once and yield the pictures that wait."""
        began = now = self._began
        wall = time.time()
        self.is_busy = self._waits = False
        there = self._listing.files()
        self._memory.tidy(there)
        todo = [file for file in there if not self._is_done(self._memory.digest(file))]
        self._looked = {file: self._looked.get(file, began) for file in todo}
        self._moving = {f.name: self._moving[f.name] for f in todo if f.name in self._moving}
        self._pauses.keep(set(todo))
        self.trouble = "" if todo else f"no picture waits in {self._folder}"
        for file in todo:
            if file.name in self._given or not self._pauses.is_due(file):
                continue
            # By the file's own time if that is sensible, else by how long it has been seen like this.
            is_still = max(began - self._looked[file], wall - file.modified / 1e9) >= SETTLE
            try:
                picture = self._settled(file) if is_still else self._renewed(file)
            except FileNotFoundError:  # it went just now
                continue
            except OSError as error:
                self._failed(file, f"cannot read {self._folder / file.name}: {error.strerror}")
                continue
            if picture is not None:
                self._given.add(file.name)
                yield picture
                now = time.monotonic()
            elif time.monotonic() - now > AT_ONCE:
                self.is_busy = True
                return

    def _is_done(self, digest: str | None) -> bool:
        return digest is not None and self._memory.is_done(digest, self._max_pixels)

    def _settled(self, file: File) -> Picture | None:
        """Return the picture of a file that has not changed for a while; None if it is none, or known; OSError."""
        self._moving.pop(file.name, None)
        path = self._folder / file.name
        with open_regular(path) as opened:
            about = os.fstat(opened.fileno())
            if (about.st_mtime_ns, about.st_size) != (
                file.modified,
                file.size,
            ):  # since the folder was looked at
                return None
            digest = _digest(opened)
        if self._is_done(digest):
            self._memory.know(digest, file)
            return None
        picture = self._decode(path, digest, file, is_settled=True)
        if picture is not None:
            with open_regular(path) as opened:
                if _digest(opened) != digest:  # it was written anew meanwhile
                    self.close()
                    return None
        return picture

    def _renewed(self, file: File) -> Picture | None:
        """Return the picture of a file that was written anew since the last look; None if it only grows; OSError."""
        path = self._folder / file.name
        with open_regular(path) as opened:
            before = os.fstat(opened.fileno())
            size, start = self._moving.get(file.name, (0, ""))
            is_anew = bool(start) and _digest(opened, size) != start
            opened.seek(0)
            if not is_anew:
                self._moving[file.name] = before.st_size, _digest(opened, before.st_size)
                self._waits = True
                return None
            with tempfile.NamedTemporaryFile(suffix=Path(file.name).suffix) as copy:
                digest = _digest(opened, copy=copy)
                after = os.fstat(opened.fileno())
                self._moving[file.name] = after.st_size, digest
                if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
                    self._waits = True
                    return None
                return (
                    None
                    if self._is_done(digest)
                    else self._decode(Path(copy.name), digest, file, is_settled=False)
                )

    def _decode(self, path: Path, digest: str, file: File, *, is_settled: bool) -> Picture | None:
        """Return a picture, an attempt noted on the disk; None after a failure, when it is noted that all is well."""
        from heliograph.pictures import load_srgb

        if not self._aside.is_due(digest):
            return None
        if digest not in self._harmless:
            self._memory.begin(digest, file.name)
        try:
            picture = load_srgb(path, max_pixels=self._max_pixels)
        except PictureError as error:
            if digest not in self._harmless:
                self._memory.live(digest)
                self._harmless.add(digest)
            self._cannot_decode(error, digest, file, is_settled=is_settled)
            return None
        self._last = digest, file, is_settled
        return picture

    def _cannot_decode(self, error: PictureError, digest: str, file: File, *, is_settled: bool) -> None:
        text = str(error)
        cause = error.__cause__
        # What the system says of a file may change, or there may be more memory; what Pillow says will not.
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno is not None):
            self._failed(file, text)
        elif is_settled and time.monotonic() - self._looked[file] >= GIVE_UP:
            _log.warning("passed over: %s", text)
            self._memory.refuse(digest, file, self._max_pixels)
        else:
            self.trouble = text

    def _failed(self, file: File, text: str) -> None:
        self.trouble = text
        _log.warning("%s; it is tried again in %g s", text, self._pauses.failed(file))


def _digest(opened: IO[bytes], size: int | None = None, copy: IO[bytes] | None = None) -> str:
    """Return the digest of a file from where it stands, of so many bytes or all, which are also written to `copy`."""
    found, left = hashlib.sha256(), size
    while left is None or left > 0:
        data = opened.read(_BLOCK if left is None else min(left, _BLOCK))
        if not data:
            break
        found.update(data)
        if copy is not None:
            copy.write(data)
        left = None if left is None else left - len(data)
    if copy is not None:
        copy.flush()
    return found.hexdigest()[:32]
