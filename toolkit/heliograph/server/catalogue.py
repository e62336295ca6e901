"""What a receiver's folder holds, in SQLite beside the devices' folders: which picture each stream is, what it needs.

The files are the truth and the catalogue is not: it is made anew where it is missing, damaged or of another version,
follows the files whenever something is asked for, and nothing is decoded from a picture because it says so, for
decoding checks the picture id. A file is known by size, time and inode; its header is read once and its picture is
decoded once, when another refers to it or somebody looks at it. Streams of one device refer to no other's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from heliograph.codec import container
from heliograph.codec.folder import read_header
from heliograph.codec.recent import Recent
from heliograph.codec.registry import Registry
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import ReferencePicture
from heliograph.errors import HeliographError, StreamError
from heliograph.link.wire.names import is_device, is_stream
from heliograph.server import catalogue_file
from heliograph.server.arrivals import taken
from heliograph.server.inbox import NO_DEVICE, PARTIAL, RECENT

_AT_ONCE = 32  # streams in one look that are decoded because others wait for them
_MOST = 128  # streams that one search decodes: a device can fill its folder with what may be a reference
_YOUNG = 2.0  # seconds in which a file may still grow under its name
_MOST_STREAM = 1 << 30
_FOR_GOOD, _FOR_NOW = (
    1,
    2,
)  # damaged; or its codec is not here, or the disk failed: tried again when this is opened
# Pictures are compared by id; one that is equal to what it refers to has its id too, so the depth has to fall.
_IS_THERE = """EXISTS (SELECT 1 FROM streams INDEXED BY pictures
    WHERE device = one.device AND picture = one.reference AND depth < one.depth)"""
_MAY_BE = """may.device = one.device AND may.depth = one.depth - 1 AND may.level = one.reference_level
    AND may.width = one.width AND may.height = one.height AND may.scale = one.scale AND may.codec = one.codec
    AND may.picture IS NULL AND NOT may.missing AND NOT may.damaged"""
# What somebody waits for and could be decoded now: a stream whose reference came, or one that may be a reference.
_WANTED = f"""
SELECT device, name FROM streams AS one INDEXED BY waiting WHERE missing AND {_IS_THERE}
UNION
SELECT may.device, may.name FROM streams AS one INDEXED BY waiting CROSS JOIN streams AS may INDEXED BY unknown
    WHERE one.missing AND {_MAY_BE}
LIMIT ?
"""
# What nothing that is there can be.
_LACKS = f"""
SELECT DISTINCT reference FROM streams AS one INDEXED BY waiting WHERE missing AND device = ? AND NOT {_IS_THERE}
    AND NOT EXISTS (SELECT 1 FROM streams AS may INDEXED BY unknown WHERE {_MAY_BE})
"""
# A picture by its id; then what may be it, the last before the stream that refers first, for names are often times.
_CANDIDATES = f"""
SELECT name FROM streams INDEXED BY pictures WHERE device = :device AND picture = :picture AND depth < :depth
UNION ALL
SELECT * FROM (SELECT name FROM streams AS one INDEXED BY unknown
    WHERE device = :device AND depth = :depth - 1 AND level = :level AND width = :width AND height = :height
    AND scale = :scale AND codec = :codec AND picture IS NULL AND NOT damaged AND (NOT missing OR {_IS_THERE})
    ORDER BY name NOT LIKE '%-' || :digits || '.helio', name >= :name, name DESC)
"""
_INSERT = f"INSERT OR IGNORE INTO streams VALUES ({', '.join('?' * 15)}, NULL, 0, 0)"
_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
Key = tuple[str, str]


class Catalogue:
    """The streams of a folder `DIR/<device>/<name>`, and of DIR itself as those of a device without a name.

    Safe in several threads and processes. Where the folder cannot be written it is kept in memory.

    Args:
        registry: the codecs that are known.
        recent: where pictures are kept that were decoded, if others share it.
    """

    def __init__(self, folder: Path, registry: Registry, *, recent: Recent | None = None) -> None:
        self.folder, self._registry = folder, registry
        self._recent = Recent() if recent is None else recent
        self._lock = threading.RLock()
        self._database: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._left = 0  # streams that the search under way may still decode
        self._missing: tuple[tuple[int, int], set[Key]] | None = None

    def look(self) -> None:
        """Follow the files: read the headers of new ones, forget those that are gone."""
        with self._lock:
            self._doing(self._follow)

    def find(self, header: container.Header, file: Path) -> ReferencePicture | None:
        """Return the picture that the stream of a file refers to; None, noted as missing, if it is not here."""
        key, wanted = self._key(file), header.reference
        if key is None or wanted is None:
            return None
        with self._lock:
            return self._doing(lambda: self._find_anew(key, header, wanted))

    def learn(self, picture_id: bytes, file: Path) -> None:
        """Know what picture a file is, which was decoded without a loss."""
        if (key := self._key(file)) is None:
            return
        with self._lock, contextlib.suppress(OSError):
            version = _version(file.lstat())
            self._doing(lambda: self._learn(picture_id, key, version))

    def missing(self) -> set[Key]:
        """Return device and name of whole streams whose reference is not here, after what came has been decoded."""
        with self._lock:
            self.look()
            return self._doing(self._still_missing)

    def lacks(self, device: str) -> list[bytes]:
        """Return the ids of pictures that streams of a device refer to and that are not here; nothing is decoded."""
        with self._lock:
            return self._doing(lambda: self._lacks(device))

    def _lacks(self, device: str) -> list[bytes]:
        if not self.folder.is_dir():
            return []
        return [reference for (reference,) in self._run(_LACKS, (device,))]

    def _still_missing(self) -> set[Key]:
        if not self.folder.is_dir():
            return set()
        if self._missing is None or self._missing[0] != self._state():
            left = _AT_ONCE
            while left > 0 and (wanted := self._run(_WANTED, (left,))):
                left -= len(wanted)
                for device, name in wanted:
                    self._left = _MOST
                    self._picture(device, name)
            rows = self._run("SELECT device, name FROM streams WHERE missing")
            missing = {(device, name) for device, name in rows}
            if left <= 0:  # and perhaps more can be decoded
                return missing
            self._missing = self._state(), missing
        return self._missing[1]

    def _state(self) -> tuple[int, int]:
        """Return what differs after every change, by whatever process."""
        [(version,)] = self._run("PRAGMA data_version")
        return version, 0 if self._database is None else self._database.total_changes

    def _key(self, file: Path) -> Key | None:
        """Return device and name of a file in the folder; None if it is no stream's there."""
        device = NO_DEVICE if file.parent == self.folder else file.parent.name
        name = file.name.removesuffix(PARTIAL)
        is_here = self.folder / device == file.parent and (not device or is_device(device))
        return (device, name) if is_here and is_stream(name) else None

    def _find_anew(
        self, key: Key, header: container.Header, wanted: container.Referred
    ) -> ReferencePicture | None:
        """Return a picture, looked for again among what came since the last look; note if it is missing."""
        self._left = _MOST
        picture = self._find(key[0], header, wanted, key[1])
        if picture is None:
            self._follow()
            picture = self._find(key[0], header, wanted, key[1])
        if picture is None:
            self._note_missing(key)
        return picture

    def _learn(self, picture_id: bytes, key: Key, version: tuple[int, int, int]) -> None:
        which = "device = ? AND name = ? AND size = ? AND changed = ? AND inode = ?"
        if not self._run(f"SELECT name FROM streams WHERE {which}", (*key, *version)):
            self._follow()
        change = (
            f"UPDATE streams SET picture = ?, missing = 0 WHERE {which} AND (missing OR picture IS NOT ?)"
        )
        self._run(change, (picture_id, *key, *version, picture_id))

    def _find(
        self, device: str, header: container.Header, wanted: container.Referred, name: str
    ) -> ReferencePicture | None:
        if (picture := self._recent.get(wanted.picture_id)) is not None:
            return picture
        asked: dict[str, object] = {"device": device, "name": name, "picture": wanted.picture_id}
        asked |= {"digits": wanted.picture_id.hex(), "depth": wanted.depth, "level": wanted.level}
        asked |= {"width": header.width, "height": header.height, "scale": header.scale}
        asked |= {"codec": header.codec_id}
        for (candidate,) in self._run(_CANDIDATES, asked):
            picture = self._picture(device, candidate)
            if picture is not None and picture.picture_id == wanted.picture_id:
                return picture
        return None

    def _note_missing(self, key: Key) -> None:
        self._run("UPDATE streams SET missing = 1 WHERE device = ? AND name = ? AND NOT missing", key)

    def _picture(self, device: str, name: str) -> ReferencePicture | None:
        """Return what a stream decodes to, and note which picture it is; None if it cannot be decoded, or not now."""
        if self._left <= 0:
            return None
        self._left -= 1
        try:
            stream = container.open(_read(self.folder / device / name))
            referred = stream.header.reference
            there = {}
            if referred is not None:
                reference = self._find(device, stream.header, referred, name)
                if reference is None:
                    self._note_missing((device, name))
                    return None
                there[referred.picture_id] = reference.values
            codec = self._registry.by_id(stream.header.codec_id)
            picture = decode_stream(stream, codec, references=there).as_reference()
        except (OSError, HeliographError) as error:
            damaged = _FOR_GOOD if isinstance(error, StreamError) else _FOR_NOW
            change = "picture = NULL, missing = 0, damaged = ?"
            self._run(f"UPDATE streams SET {change} WHERE device = ? AND name = ?", (damaged, device, name))
            return None
        self._recent.add(picture)
        change = "picture = ?, missing = 0"
        self._run(
            f"UPDATE streams SET {change} WHERE device = ? AND name = ?", (picture.picture_id, device, name)
        )
        return picture

    def _follow(self) -> None:
        """Bring the catalogue in step with the folder."""
        try:
            with os.scandir(self.folder) as listing:
                here = [e.name for e in listing if is_device(e.name) and e.is_dir(follow_symlinks=False)]
        except OSError:
            return
        known = dict(self._run("SELECT device, changed FROM folders"))
        for device in known.keys() - {NO_DEVICE, *here}:
            self._run("DELETE FROM streams WHERE device = ?", (device,))
            self._run("DELETE FROM folders WHERE device = ?", (device,))
        for device in [NO_DEVICE, *here]:
            with contextlib.suppress(OSError):
                # A folder's time changes when a name comes or goes; what nobody named may grow under its name.
                changed = (self.folder / device).stat().st_mtime_ns
                if device == NO_DEVICE or known.get(device) != changed:
                    is_quiet = self._follow_device(device) and abs(time.time_ns() - changed) > RECENT
                    if known.get(device) != (stamp := changed if is_quiet else -1):
                        self._run("INSERT OR REPLACE INTO folders VALUES (?, ?)", (device, stamp))

    def _follow_device(self, device: str) -> bool:
        """Bring the rows of a device in step with its folder; return whether no file is young; OSError."""
        found: dict[str, os.stat_result] = {}
        with os.scandir(self.folder / device) as listing:
            for entry in listing:
                if is_stream(entry.name):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        found[entry.name] = status
        rows = self._run("SELECT name, size, changed, inode FROM streams WHERE device = ?", (device,))
        known = {name: tuple(version) for name, *version in rows}
        gone = [(device, name) for name in known.keys() - found.keys()]
        new = [
            _row(self.folder, device, name, status)
            for name, status in found.items()
            if known.get(name) != _version(status)
        ]
        if gone or new:
            assert self._database is not None
            with self._database as database:  # another process may have noted the same meanwhile, and more
                database.execute("BEGIN IMMEDIATE")
                database.executemany("DELETE FROM streams WHERE device = ? AND name = ?", gone)
                is_other = "NOT (size = ? AND changed = ? AND inode = ?)"
                delete = f"DELETE FROM streams WHERE device = ? AND name = ? AND {is_other}"
                database.executemany(delete, [row[:5] for row in new])
                database.executemany(_INSERT, new)
        return not any(abs(time.time() - status.st_mtime) < _YOUNG for status in found.values())

    def _run(
        self, statement: str, values: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[Any, ...]]:
        if self._database is None:
            self._use(catalogue_file.opened(self.folder))
            self._run("UPDATE streams SET damaged = 0 WHERE damaged = ?", (_FOR_NOW,))
        assert self._database is not None
        return self._database.execute(statement, values).fetchall()

    def _use(self, database: sqlite3.Connection) -> None:
        self._database, self._file, self._missing = database, catalogue_file.identity(self.folder), None
        weakref.finalize(self, database.close)

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = None

    def _doing(self, act: Callable[[], _Result]) -> _Result:
        """Do something with the database; where that fails, again with one that was opened anew, or in memory."""
        if self._database is not None and self._file != catalogue_file.identity(self.folder):
            self._close()  # somebody deleted it, or another process made it anew
        for _ in range(2):
            try:
                return act()
            except sqlite3.Error as error:
                _log.warning("%s is opened again: %s", self.folder / catalogue_file.NAME, error)
                self._close()
        self._use(catalogue_file.in_memory())
        return act()


def _row(folder: Path, device: str, name: str, status: os.stat_result) -> tuple[object, ...]:
    """Return the first columns of a stream's row."""
    header = read_header(folder / device / name)
    file = (device, name, *_version(status), status.st_mtime, taken(name))
    if header is None:
        return (*file, *[None] * 8)
    alike = *header.kind, header.level, header.depth
    referred = header.reference
    return (*file, *alike, *((referred.picture_id, referred.level) if referred else (None, None)))


def _version(status: os.stat_result) -> tuple[int, int, int]:
    """Return what tells a file from others of its name: size, time, and inode as SQLite can hold it."""
    return status.st_size, status.st_mtime_ns, status.st_ino & (1 << 63) - 1


def _read(path: Path) -> bytes:
    """Return the bytes of a file that is no link, as what a device names must lie in its folder; OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_MOST_STREAM)
