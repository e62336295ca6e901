"""Streams named one by one, in a list, or by a folder, with the places of their pictures; never all in memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from heliograph.commands import batch
from heliograph.errors import HeliographError, OutputError, StreamError
from heliograph.server.pipeline import Task

SUFFIX = ".helio"


@dataclass
class Inputs:
    """What is to be decoded, and where its pictures go.

    Streams given one by one are looked at beforehand, so that nothing is begun that would overwrite something. Those
    of folders and lists are not: a result that is there is left and counted in `skipped`, unless `force` is set, so
    that the same command goes on where it was interrupted. Pictures of a folder keep their place in it.

    Args:
        streams: files and folders.
        listed: a file with a path in each line, "-" for standard input, or None.
        out: a folder or file, see `batch.pair_outputs`; None for beside each stream.
    """

    streams: list[Path]
    listed: str | None
    out: str | None
    suffix: str = ".png"
    force: bool = False
    skipped: int = 0

    @property
    def is_lazy(self) -> bool:
        """Whether there is a folder or a list."""
        return self.listed is not None or any(path.is_dir() for path in self.streams)

    def tasks(self) -> Iterator[Task | HeliographError]:
        """Yield every stream with the place of its picture, or why it has none.

        Raises:
            OutputError: see `batch.pair_outputs`; of streams given one by one.
            StreamError: there is nothing to decode, or the list cannot be read.
        """
        if not self.is_lazy:
            if not self.streams:
                raise StreamError("no streams: give files, a folder, or --list FILE")
            pairs = batch.pair_outputs(self.streams, self.out, self.suffix, force=self.force)
            return iter([Task(*pair) for pair in pairs])
        if self.out is not None and Path(self.out).is_file():
            raise OutputError(f"{self.out} is a file, expected a folder for many pictures; give one with -o")
        return self._checked()

    def count(self) -> int | None:
        """Return how many streams there are, for a progress bar; None if that cannot be known."""
        if self.listed == "-":
            return None
        named = 0 if self.listed is None else sum(1 for _ in listed(self.listed))
        return named + sum(sum(1 for _ in _walk(path)) if path.is_dir() else 1 for path in self.streams)

    def _checked(self) -> Iterator[Task | HeliographError]:
        taken: set[int] = set()  # hashes of places: a million take 60 MB, their names ten times that
        found = False
        for task in self._pairs():
            found = True
            place = hash(os.path.abspath(task.target))  # noqa: PTH100 - of a string, and without the file system
            if place in taken:
                yield OutputError(
                    f"{task.source} would become {task.target} as another stream does; rename one, or decode it alone"
                )
            elif not self.force and Path(task.target).exists():
                self.skipped += 1
            else:
                yield task
            taken.add(place)
        if not found:
            where = ", ".join(map(str, self.streams)) or self.listed
            raise StreamError(f"no streams in {where}: expected files ending in {SUFFIX}; check the path")

    def _pairs(self) -> Iterator[Task]:
        out = None if self.out is None else Path(self.out)
        for path in self.streams:
            if path.is_dir():
                for found in _walk(path):
                    target = found if out is None else out / found.relative_to(path)
                    yield Task(found, target.with_suffix(self.suffix))
            else:
                yield self._pair(path, out)
        if self.listed is not None:
            for name in listed(self.listed):
                yield self._pair(Path(name), out)

    def _pair(self, path: Path, out: Path | None) -> Task:
        return Task(path, (path if out is None else out / path.name).with_suffix(self.suffix))


def listed(file: str) -> Iterator[str]:
    """Yield the lines of a list that are not empty; StreamError if it cannot be read."""
    with _open(file) as lines:
        for line in lines:
            if name := line.rstrip("\n"):
                yield name


def _open(file: str) -> IO[str]:
    if file == "-":
        return sys.stdin
    try:
        return Path(file).open(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise StreamError(f"cannot read the list {file}: {error.strerror}; check the path") from error


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the streams below a folder, those of each folder by name; links to folders are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise StreamError(f"cannot read folder {folder}: {error.strerror}; check who may read it") from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        elif entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
            yield Path(entry.path)
