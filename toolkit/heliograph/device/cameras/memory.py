"""What of a watched folder was taken, and what was begun, on the disk: after a restart no picture comes twice."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from heliograph.files import write_whole

_BEGAN, _LIVED = "began", "lived"


class File(NamedTuple):
    """A state of a file; one that is written anew, as a camera's latest.jpg is, is a new picture."""

    modified: int  # nanoseconds, first: files are taken in this order
    name: str
    size: int


class Memory:
    """Lines that are only added to: a file that was taken, or one that was begun, and that the process lived on.

    A file that was begun more often than lived on was in hand when a process ended without a word: it was killed, for
    memory above all, or power failed.

    Attributes:
        taken: these are done with.

    Args:
        path: of the file; None remembers for as long as this object lives.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.taken: set[File] = set()
        self._begun: Counter[File] = Counter()

    def load(self, there: Iterable[File]) -> None:
        """Read what earlier processes wrote, and forget what is not there any more. OSError, OutputError."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._begun.clear()
        with contextlib.suppress(FileNotFoundError):
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError):  # the end of a line that a power cut left
                    modified, name, size, *what = json.loads(line)
                    file = File(modified, name, size)
                    if not what:
                        self.taken.add(file)
                    else:
                        self._begun[file] += 1 if what == [_BEGAN] else -1
        self.taken.intersection_update(there)
        self._begun = Counter({file: self._begun[file] for file in there if file not in self.taken})
        lines = [_line(file) for file in sorted(self.taken)]
        lines += [_line(file, _BEGAN) for file in sorted(self._begun.elements())]
        write_whole(self._path, "".join(lines).encode())

    def begun(self, file: File) -> int:
        """Return how many processes ended with a file in hand."""
        return self._begun[file]

    def begin(self, file: File) -> None:
        """Note that a file is taken in hand."""
        self._note(file, _BEGAN)

    def live(self, file: File) -> None:
        """Note that the process lives on after `begin`."""
        self._note(file, _LIVED)

    def take(self, file: File) -> None:
        """Note that a file is done with, on the disk when this returns; OSError."""
        self.taken.add(file)
        self._append(_line(file))

    def _note(self, file: File, what: str) -> None:
        # A disk without room for this line may still get room for the picture: the spool gives up older ones for it.
        with contextlib.suppress(OSError):
            self._append(_line(file, what))

    def _append(self, line: str) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as handle:
                handle.write(line)
                handle.flush()
                os.fsync(handle.fileno())


def _line(file: File, *what: str) -> str:
    return json.dumps([*file, *what]) + "\n"
