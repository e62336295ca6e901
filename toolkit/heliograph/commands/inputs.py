"""Inputs named one by one, in a list, or by a folder, with the places of their results; never all in memory."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from heliograph.commands import standard
from heliograph.errors import HeliographError, OutputError, StreamError
from heliograph.server.pipeline import Task

# Of paths this module asks `os.path`: pathlib raises where a name is too long, or a folder on the way is closed.
# ruff: noqa: PTH100, PTH110, PTH112, PTH114, PTH122

SUFFIX = ".helio"
SHOWN = 60  # characters of a line that is no name


@dataclass(frozen=True)
class Kind:
    """What a command takes: the word for it, the suffixes of its files, lower case, and the error without any."""

    word: str
    suffixes: Collection[str]
    error: type[HeliographError]


STREAMS = Kind("stream", (SUFFIX,), StreamError)


@dataclass(frozen=True)
class Refused:
    """An input that is not done, and why."""

    source: Path
    error: HeliographError


@dataclass
class Inputs:
    """What is to be done, and where its results go: beside each input, in the folder OUT, or in the file OUT.

    OUT is a folder if it is one, ends in a slash, or there are several inputs; it need not exist. A result is named
    after its input: photo.helio. Inputs that differ in nothing but their suffix keep it: photo.jpg.helio and
    photo.png.helio. Results of a folder keep their place in it.

    An input "-" is standard input, and its result standard output if OUT is not given; OUT may be "-" too.

    Of folders and lists a result that is there is left and counted in `skipped`, unless `force` is set, so that the
    same command goes on where it was interrupted. Of inputs given one by one it is an error.

    Args:
        paths: files and folders.
        listed: a file with a path in each line, "-" for standard input, or None.
        suffix: of the results.
    """

    kind: Kind
    paths: list[Path]
    out: str | None
    suffix: str
    listed: str | None = None
    force: bool = False
    skipped: int = 0

    @property
    def is_lazy(self) -> bool:
        """Whether there is a folder or a list."""
        return self.listed is not None or any(os.path.isdir(path) for path in self.paths)

    @property
    def is_many(self) -> bool:
        """Whether there may be more than one input."""
        return self.is_lazy or len(self.paths) > 1

    def tasks(self) -> Iterator[Task | Refused]:
        """Yield every input with the place of its result, or why it has none.

        Raises:
            OutputError: OUT is a file, and must be a folder.
            StreamError, PictureError: there is no input, or the list cannot be read.
        """
        if not self.paths and self.listed is None:
            raise self.kind.error(f"no {self.kind.word}s: give files, a folder, or --list FILE")
        if self.is_many and (standard.is_standard(self.out) or standard.HERE in self.paths):
            raise OutputError(
                "standard input and output take one picture; give one, or files and a folder with -o"
            )
        if self.is_many and self.out is not None and Path(self.out).is_file():
            raise OutputError(f"{self.out} is a file, expected a folder for many results; give one with -o")
        return self._checked()

    def count(self) -> int | None:
        """Return how many inputs there are, for a progress bar; None if that cannot be known."""
        if self.listed == "-":
            return None
        if standard.HERE in self.paths:
            return 1
        named = 0 if self.listed is None else sum(1 for _ in listed(self.listed))
        return named + sum(
            sum(1 for _ in self._walk(path)) if os.path.isdir(path) else 1 for path in self.paths
        )

    def _checked(self) -> Iterator[Task | Refused]:
        taken: set[int] = set()  # hashes of places: a million take 60 MB, their names ten times that
        real_paths = {os.path.realpath(path) for path in self.paths}
        is_empty, is_lazy = True, self.is_lazy
        for pair in self._pairs():
            is_empty = False
            if isinstance(pair, Refused):
                yield pair
                continue
            source, target = pair
            if standard.is_standard(target):
                yield Task(source, target)
                continue
            place = hash(os.path.abspath(target))
            problem = ""
            if place in taken:
                problem = (
                    f"{source} would become {target} as another {self.kind.word} does; rename one, or give -o"
                )
            elif os.path.exists(target):
                if os.path.realpath(target) in real_paths:
                    problem = f"{target} is an input and would be overwritten; give another place with -o"
                elif os.path.isdir(target):
                    problem = f"{target} is a folder, expected a file name; give another with -o"
                elif not self.force and not is_lazy:
                    problem = f"{target} exists already; use --force to replace it, or -o for another place"
                elif not self.force:
                    self.skipped += 1
                    taken.add(place)
                    continue
            elif os.path.islink(target) and not self.force:
                problem = f"{target} is a link that leads nowhere; use --force to write there, or -o for another place"
            taken.add(place)
            yield Refused(source, OutputError(problem)) if problem else Task(source, target)
        if is_empty:
            where = ", ".join(map(str, self.paths)) or self.listed
            endings = ", ".join(sorted(self.kind.suffixes))
            raise self.kind.error(
                f"no {self.kind.word}s in {where}: expected files ending in {endings}; check the path"
            )

    def _pairs(self) -> Iterator[tuple[Path, Path] | Refused]:
        """Yield every input and its result, or why it has none."""
        out = None if self.out is None else standard.path(self.out)
        if standard.HERE in self.paths and (out is None or str(self.out).endswith("/") or os.path.isdir(out)):
            yield standard.HERE, standard.HERE if out is None else out / f"stdin{self.suffix}"
            return
        is_folder = out is not None and (
            self.is_many or str(self.out).endswith(("/", os.sep)) or os.path.isdir(out)
        )
        files = {
            path: path if out is None else out / path.name for path in self.paths if not os.path.isdir(path)
        }
        times = Counter(place.with_suffix(self.suffix) for place in set(files.values()))
        for path in self.paths:
            if os.path.isdir(path):
                for entry in self._walk(path):
                    if isinstance(entry, Refused):
                        yield entry
                        continue
                    file, is_twin = entry
                    place = file if out is None else out / file.relative_to(path)
                    yield file, self._result(place, is_twin=is_twin)
            elif out is not None and not is_folder:
                yield path, out
            else:
                is_twin = times[files[path].with_suffix(self.suffix)] > 1
                yield path, self._result(files[path], is_twin=is_twin)
        if self.listed is not None:
            for name in listed(self.listed):
                if "\0" in name or not Path(name).name:
                    yield self._no_name(name)
                    continue
                place = Path(name) if out is None else out / Path(name).name
                yield Path(name), self._result(place, is_twin=False)

    def _result(self, place: Path, *, is_twin: bool) -> Path:
        return place.with_name(place.name + self.suffix) if is_twin else place.with_suffix(self.suffix)

    def _no_name(self, name: str) -> Refused:
        shown = repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}...")
        text = f"{shown} in {self.listed} names no {self.kind.word}; give one path a line, without NULs between them"
        return Refused(Path(shown), self.kind.error(text))

    def _walk(self, folder: Path) -> Iterator[tuple[Path, bool] | Refused]:
        """Yield the inputs below a folder by name, and whether another there has the same stem; links not followed.

        A folder that cannot be read is one that is refused.
        """
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            text = f"cannot read folder {folder}: {error.strerror}; check who may read it"
            yield Refused(folder, self.kind.error(text))
            return
        files = [e.name for e in entries if not e.is_dir(follow_symlinks=False) and self._is_input(e.name)]
        # Where all have one suffix, no two have one stem.
        stems = Counter(name.rpartition(".")[0] for name in files) if len(self.kind.suffixes) > 1 else {}
        wanted = set(files)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path))
            elif entry.name in wanted:
                yield Path(entry.path), stems.get(entry.name.rpartition(".")[0], 1) > 1

    def _is_input(self, name: str) -> bool:
        return not name.startswith(".") and os.path.splitext(name)[1].lower() in self.kind.suffixes


def listed(file: str) -> Iterator[str]:
    """Yield the lines of a list that are not empty; StreamError if it cannot be read."""
    with _open(file) as lines:
        for line in lines:
            if name := line.rstrip("\n"):
                yield name


def _open(file: str) -> IO[str]:
    if file == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="surrogateescape")
        return sys.stdin
    try:
        return Path(file).open(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise StreamError(f"cannot read the list {file}: {error.strerror}; check the path") from error
