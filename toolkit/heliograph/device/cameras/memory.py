"""What of watched folders was taken, by content, on the disk: no picture comes twice, whatever its name and time."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from heliograph.files import write_whole

MOST = 100_000  # pictures that are remembered beside those that are there
_TAKEN, _UNREADABLE, _BEGAN, _LIVED = "taken", "unreadable", "began", "lived"
_log = logging.getLogger(__name__)


class File(NamedTuple):
    """A state of a file; while it stays so its content is not read again."""

    modified: int  # nanoseconds, first: files are taken in this order
    name: str  # below the folder
    size: int


class Memory:
    """Lines that are only added to, each with a digest of a file's content, by which pictures are known.

    A picture that was begun more often than lived on was in hand when a process ended without a word: it was killed,
    for memory above all, or power failed.

    Args:
        path: of the file, which one process has at a time; None remembers for as long as this object lives.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._is_loaded = False
        self._taken: dict[str, None] = {}  # the oldest first
        self._unreadable: dict[str, int] = {}  # and how many pixels were allowed then
        self._begun: Counter[str] = Counter()
        self._names: dict[str, str] = {}  # of files that were begun
        self._states: dict[str, tuple[File, str]] = {}  # by name
        self._unwritten = ""  # lines for which the disk had no room
        self._glue = ""  # before the next line
        self._lines = 0

    def load(self) -> None:
        """Read what earlier processes wrote, the first time. OSError, OutputError."""
        if self._is_loaded or self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in self._path.parent.glob(f".{self._path.name}.*.partial"):
            leftover.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            text = self._path.read_text(encoding="utf-8", errors="replace")
            for line in text.splitlines():
                with contextlib.suppress(ValueError, TypeError):  # the end of a line that a power cut left
                    self._read(*json.loads(line))
                self._lines += 1
            self._glue = "" if text.endswith("\n") or not text else "\n"  # ends such a line
        self._tidy(())
        self._is_loaded = True

    def _read(self, digest: str, what: str, *more: object) -> None:
        if what == _TAKEN:
            self._taken[digest] = None
        elif what == _UNREADABLE and isinstance(more[0], int):
            self._unreadable[digest], more = more[0], more[1:]
        elif what == _BEGAN:
            self._begun[digest] += 1
            self._names[digest], more = str(more[0]), ()
        elif what == _LIVED:
            self._begun[digest] -= 1
        if len(more) == 3:
            modified, name, size = more
            self._states[str(name)] = File(int(str(modified)), str(name), int(str(size))), digest

    def digest(self, file: File) -> str | None:
        """Return the digest of a file that is in a state in which it was read before, else None."""
        state, digest = self._states.get(file.name, (None, None))
        return digest if state == file else None

    def is_done(self, digest: str, max_pixels: int) -> bool:
        """Return whether a picture was taken, or cannot be read with so many pixels allowed."""
        return digest in self._taken or self._unreadable.get(digest, -1) >= max_pixels

    def killers(self, times: int) -> dict[str, tuple[str, int]]:
        """Return the name, and how often, of pictures that were in hand when so many processes ended."""
        return {
            digest: (self._names[digest], count)
            for digest, count in self._begun.items()
            if count >= times and digest not in self._taken
        }

    def begin(self, digest: str, name: str) -> None:
        """Note that a picture is taken in hand."""
        self._append(digest, _BEGAN, name)

    def live(self, digest: str) -> None:
        """Note that the process lives on after `begin`."""
        self._append(digest, _LIVED)

    def take(self, digest: str, file: File | None) -> None:
        """Note that a picture is safe, in a file of this state; on the disk when this returns, where there is room."""
        self._note(digest, file)
        self._append(digest, _TAKEN, *(file or ()))

    def refuse(self, digest: str, file: File, max_pixels: int) -> None:
        """Note that a file is no picture that can be read with so many pixels allowed."""
        self._unreadable[digest] = max_pixels
        self._states[file.name] = file, digest
        self._append(digest, _UNREADABLE, max_pixels, *file)

    def know(self, digest: str, file: File) -> None:
        """Note that a file in this state has what was taken, or refused, already."""
        self._states[file.name] = file, digest
        if digest in self._taken:
            self._note(digest, file)
            self._append(digest, _TAKEN, *file, is_lasting=False)

    def tidy(self, there: list[File]) -> None:
        """Forget the oldest beyond MOST if they are not there, now and then."""
        if self._lines > 4 * MOST + 4 * len(there):
            self._tidy(tuple(file.name for file in there))

    def _note(self, digest: str, file: File | None) -> None:
        self._taken[digest] = None
        self._begun.pop(digest, None)
        if file is not None:
            self._states[file.name] = file, digest

    def _tidy(self, there: tuple[str, ...]) -> None:
        """Write anew what is known, without what the lines say twice."""
        kept = {self._states[name][1] for name in there if name in self._states}
        if there and (over := len(self._taken) - MOST) > 0:
            for digest in [digest for digest in self._taken if digest not in kept][:over]:
                del self._taken[digest]
        known = self._taken.keys() | self._unreadable.keys()
        self._states = {name: state for name, state in self._states.items() if state[1] in known}
        stated = {digest for _, digest in self._states.values()}
        lines = [self._done(digest) for digest in [*self._taken, *self._unreadable] if digest not in stated]
        lines += [self._done(digest, file) for file, digest in self._states.values()]
        lines += [_line(digest, _BEGAN, self._names[digest]) for digest in self._begun.elements()]
        if self._path is not None and len(lines) < self._lines:
            write_whole(self._path, "".join(lines).encode())
            self._lines, self._unwritten, self._glue = len(lines), "", ""

    def _done(self, digest: str, file: File | None = None) -> str:
        if digest in self._taken:
            return _line(digest, _TAKEN, *(file or ()))
        return _line(digest, _UNREADABLE, self._unreadable[digest], *(file or ()))

    def _append(self, *values: object, is_lasting: bool = True) -> None:
        if self._path is None:
            return
        before, self._unwritten = self._unwritten, self._unwritten + _line(*values)
        # A disk without room for this line may still get room for the picture: the spool gives up older ones for it.
        try:
            with self._path.open("a", encoding="utf-8") as handle:
                handle.write(self._glue + self._unwritten)
                handle.flush()
                if is_lasting:
                    os.fsync(handle.fileno())
        except OSError as error:
            if not before:
                _log.warning(
                    "cannot note what was taken in %s: %s; it is noted later, and what power takes before may be sent "
                    "again",
                    self._path,
                    error.strerror,
                )
            self._glue = "\n"
            return
        self._lines += self._unwritten.count("\n")
        self._unwritten = self._glue = ""


def _line(*values: object) -> str:
    return json.dumps(values) + "\n"
