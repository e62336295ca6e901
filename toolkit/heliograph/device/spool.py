"""The spool: a folder of streams that wait for the link, bounded, and whole whatever happens to its writers.

Order. A name begins with the UTC time at which its picture was added, so that sorting names sorts pictures.
The time last given is kept in the file `.spool` and never goes back: where the clock stands at it or before
(it was set back, or a board without a battery started after a power cut), the new name is one microsecond
after it. Names are therefore unique and rise in the order of `add`; as times they are off while the clock is.
Where the clock is known to be right and that time is ahead of it, the clock was wrong then: the streams named so are
renamed in their order to times from now on, and names go on there. Streams that were named by a clock that was not
set get their times when it is. The log tells of each.
Whatever else ends in `.helio` waits too, as files that `heliograph encode` wrote, in the order of names: after those
that `add` named, unless a name begins with a lower digit. Write
them under another name first and rename them, as encode does: half a stream would be sent.

Room. With `max_bytes` the streams that `add` named never take more together; others are not counted, and nothing is
taken from them. To make room

1. the oldest stream that has upper layers loses its uppermost one, again and again: first the oldest is
   thinned down to its base layer, then the next, the new one last;
2. only when not even the base layer of the new one fits is the oldest dropped, then the next.

A stream of one segment, or bytes that are no stream, cannot be thinned and wait whole for step 2. A disk that is full
before `max_bytes` is reached is treated alike, but no more is given up than the new stream needs: what another
program eats, the spool does not feed. Without `max_bytes` step 2 is never taken: a full disk thins, then
`add` fails and nothing that was added is lost.

Safety. A stream is written under another name in the same folder, flushed to the disk, renamed, and the folder
flushed; thinning likewise under the same name. Whoever changes the folder holds a lock on `.spool`, which the
system takes from a process that dies; so an unfinished file found under that lock has no writer, and is removed.
A link, a folder or a pipe is not the spool's, whatever it is called: it is passed by, and none is ever followed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from heliograph.codec import container, memory
from heliograph.codec.thin import filled_parts, thin
from heliograph.device import spool_times as times
from heliograph.device.kept import CONFIRMED, MEMORY, SENT, Kept
from heliograph.errors import SpoolBoundError, SpoolError, StreamError
from heliograph.files import make_folder, replace_whole, sync_folder

SUFFIX = ".helio"
_UNFINISHED = re.compile(r"\..*\.helio\.[0-9a-f]{8}\.partial")
_LOCK = ".spool"
_NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}\.helio")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_SLACK = 16 << 10  # bytes of a file system's own that a new file may need
_log = logging.getLogger(__name__)


@dataclass
class _Given:
    """What was given up for one new stream."""

    size: int = 0
    thinned: int = 0
    dropped: int = 0


class Spool:
    """Streams in a folder, in the order they were added; several processes may use one folder at a time.

    Args:
        folder: made if it is missing; leftovers of writers that died are removed from it.
        max_bytes: bound of all streams together, or None.

    Raises:
        SpoolError: the folder cannot be made, read or written; this holds for every method.
    """

    def __init__(self, folder: Path, *, max_bytes: int | None = None) -> None:
        if max_bytes is not None and max_bytes < 1:
            raise SpoolError(f"a spool of {max_bytes} bytes can hold nothing; give 1 or more")
        self.folder, self.max_bytes = folder, max_bytes
        self._times = times.Times(folder, self._added)
        self._at_base: set[str] = set()  # names of streams that cannot be thinned further
        with self._errors("open"):
            make_folder(folder)
            with self._locked() as lock:
                for entry in self._files():
                    if _UNFINISHED.fullmatch(entry.name):  # of a stream: others are written without this lock
                        Path(entry.path).unlink()
                # The folder may know a later time than the file: it was copied, or the file was lost.
                if (newest := self._times.newest()) > times.read_time(lock):
                    times.write_time(lock, newest)

    def add(self, data: bytes) -> str:
        """Keep a stream and return its name; it is on the disk, whole, when this returns.

        Raises:
            SpoolError: there is no room for it after all that may be given up for it was.
            SpoolBoundError: not even its base layer is within `max_bytes`.
        """
        digest = hashlib.sha256(data).hexdigest()[:8]
        with self._errors("write"), self._locked() as lock:
            if self.max_bytes is not None:
                data = self._make_room(data, self.max_bytes)
            moment = self._times.next(lock, datetime.now(timezone.utc).strftime(times.FORM))
            name = f"{moment}-{digest}{SUFFIX}"
            self._write_somehow(lock, moment, name, data)
            return name

    def names(self) -> list[str]:
        """Return the names of all streams in order, those that `add` named oldest first; see above for the others."""
        with self._errors("read"):
            return sorted(e.name for e in self._files() if _is_stream(e.name))

    def read(self, name: str) -> bytes:
        """Return a stream, perhaps thinned since it was added.

        Raises:
            SpoolError: it was removed, or dropped to make room.
        """
        with self._errors("read"):
            try:
                return _read(self._path(name))
            except FileNotFoundError:
                raise SpoolError(
                    f"{name} is not in the spool {self.folder} any more: it was removed, or dropped to make room; "
                    "go on with the next"
                ) from None

    def remove(self, name: str, digest: bytes = b"", *, is_confirmed: bool = True) -> None:
        """Remove a stream for good, or into a folder of what was sent, where that is there; see `kept`.

        One that is not there is no error.

        Args:
            digest: SHA-256 of the version that was sent; another version is removed for good.
            is_confirmed: whether the receiver has said that he has it.
        """
        path, kept = self._path(name), Kept(self.folder / (CONFIRMED if is_confirmed else SENT))
        with self._errors("write"), self._locked():
            if (
                digest
                and kept.is_wanted
                and not memory.is_named(name)  # it went again, and is in the memory
                and path.is_file()
                and hashlib.sha256(_read(path)).digest() == digest
            ):
                kept.take(path)
            else:
                path.unlink(missing_ok=True)
            sync_folder(self.folder)
        self._at_base.discard(name)

    def again(self, picture_id: bytes) -> str | None:
        """Let a picture's stream wait again that is in the memory, and return its name; None if it is not there."""
        with self._errors("write"), self._locked():
            path = memory.stream_of(self.folder / MEMORY, picture_id)
            if path is None:
                return None
            if not (self.folder / path.name).exists():
                replace_whole(self.folder / path.name, _read(path))
            return path.name

    def forget(self, picture_id: bytes) -> None:
        """Refer no more to a picture that the receiver turned out not to have, nor to what builds on it."""
        with self._errors("write"):
            memory.forget(self.folder / MEMORY, picture_id)

    def _path(self, name: str) -> Path:
        if not _is_stream(name):
            raise SpoolError(f"{name!r} is no name of a stream in a spool; take one from names()")
        return self.folder / name

    def _files(self) -> list[os.DirEntry[str]]:
        return [entry for entry in os.scandir(self.folder) if entry.is_file(follow_symlinks=False)]

    def _added(self) -> list[str]:
        """Return the names that `add` gave, oldest first: only these are thinned or dropped."""
        return [name for name in self.names() if _NAME.fullmatch(name)]

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            way = "check the disk and who may write there"
            if error.errno in _NO_ROOM:
                way = "free some space"
            elif error.errno == errno.ELOOP:
                way = f"{error.filename or _LOCK} is a link, which is never followed; remove it"
            raise SpoolError(
                f"cannot {what} the spool {self.folder}: {error.strerror or error}; {way}"
            ) from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        # Opened each time: flock() belongs to an open file, so this excludes threads and forks as well.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        lock = os.open(self.folder / _LOCK, flags, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(lock).st_mode):
                raise SpoolError(f"{self.folder / _LOCK} is no plain file; remove it")
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def _write_somehow(self, lock: int, moment: str, name: str, data: bytes) -> None:
        """Write a new stream; on a full disk give up older ones for it, a bounded number of bytes."""
        given = _Given()
        while True:
            try:
                times.write_time(lock, moment)
                replace_whole(self.folder / name, data)
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                if given.size > len(data) + _SLACK or not self._give_up_one(len(data), given):
                    self._report(given)
                    raise SpoolError(
                        f"the disk of the spool {self.folder} is full: no room for {len(data)} bytes after "
                        f"{given.thinned} layers and {given.dropped} streams were given up; free some space"
                    ) from error
            else:
                self._report(given)
                return

    def _make_room(self, data: bytes, bound: int) -> bytes:
        """Give up what is needed to keep the bound and return the new stream, itself thinned if need be."""
        versions = [data]
        while (lighter := _without_top(versions[-1])) is not None:
            versions.append(lighter)
        base = len(versions[-1])
        if base > bound:
            raise SpoolBoundError(
                f"a stream of {len(data)} bytes, {base} in its base layer, is more than the spool "
                f"{self.folder} may hold: {bound}; give a smaller budget for each picture, or a larger spool"
            )
        sizes = self._sizes()
        self._at_base &= sizes.keys()
        total, given = sum(sizes.values()), _Given()
        for name in sorted(sizes):
            if total + len(data) <= bound:
                break
            if name not in self._at_base:
                try:
                    total -= self._thin(name, total + len(data) - bound, given)
                except OSError as error:
                    if error.errno not in _NO_ROOM:
                        raise
                    break  # a full disk has no room for a lighter stream beside the old one: drop the oldest
        for name in sorted(sizes):
            if total + base <= bound:
                break
            total -= self._drop(name, given)
        self._report(given)
        return next(v for v in versions if total + len(v) <= bound)

    def _sizes(self) -> dict[str, int]:
        return {e.name: e.stat().st_size for e in self._files() if _NAME.fullmatch(e.name)}

    def _give_up_one(self, need: int, given: _Given) -> bool:
        """Thin the oldest stream that can be, or drop the oldest of all; return whether there was anything."""
        names = self._added()
        for name in names:
            if name in self._at_base:
                continue
            try:
                saved = self._thin(name, need, given)
            except OSError as error:
                # The lighter stream is written beside the old one. If not even that fits, one is dropped
                # for it where dropping is allowed; else there is nothing to be won.
                if error.errno not in _NO_ROOM:
                    raise
                break
            if saved:
                return True
        if self.max_bytes is None or not names:
            return False
        self._drop(names[0], given)
        return True

    def _thin(self, name: str, need: int, given: _Given) -> int:
        """Take layers off a stream until that saves `need` bytes or its base is left; return what it saves."""
        data = kept = _read(self.folder / name)
        layers = 0
        while len(data) - len(kept) < need:
            lighter = _without_top(kept)
            if lighter is None:
                break
            kept, layers = lighter, layers + 1
        if layers:
            replace_whole(self.folder / name, kept)
        if len(data) - len(kept) < need:
            self._at_base.add(name)
        given.thinned += layers
        given.size += len(data) - len(kept)
        return len(data) - len(kept)

    def _drop(self, name: str, given: _Given) -> int:
        path = self.folder / name
        size = path.stat().st_size
        path.unlink()
        sync_folder(self.folder)
        self._at_base.discard(name)
        given.dropped += 1
        given.size += size
        return size

    def _report(self, given: _Given) -> None:
        if given.size:
            _log.warning(
                "spool %s: %d layers and %d streams given up for a new one, %d bytes",
                self.folder,
                given.thinned,
                given.dropped,
                given.size,
            )


def _is_stream(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".") and "/" not in name


def _read(path: Path) -> bytes:
    def plain(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    with open(path, "rb", opener=plain) as file:
        return file.read()


def _without_top(data: bytes) -> bytes | None:
    """Return a stream without its uppermost layer that is not empty; None if only the base or no stream."""
    try:
        parts = filled_parts(container.open(data))
        return thin(data, parts - 1) if parts > 1 else None
    except StreamError:
        return None
