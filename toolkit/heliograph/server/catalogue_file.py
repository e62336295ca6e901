"""The file of a catalogue: an SQLite database that is made anew where it is missing, damaged or of another version."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

NAME = ".catalogue"  # no device is called so
VERSION = 2
_PATIENCE = 10.0  # seconds in which another process ends its writing
_SCHEMA = f"""
CREATE TABLE streams (
    device TEXT, name TEXT, size INTEGER, changed INTEGER, inode INTEGER, arrived REAL, taken REAL,
    codec BLOB, width INTEGER, height INTEGER, scale INTEGER, level INTEGER, depth INTEGER,
    reference BLOB, reference_level INTEGER,
    picture BLOB, missing INTEGER DEFAULT 0, damaged INTEGER DEFAULT 0,
    PRIMARY KEY (device, name)) WITHOUT ROWID;
CREATE INDEX pictures ON streams (device, picture, depth);
CREATE INDEX unknown ON streams (device, depth, level, width, height, scale, codec) WHERE picture IS NULL;
CREATE INDEX waiting ON streams (device, reference) WHERE missing;
CREATE TABLE folders (device TEXT PRIMARY KEY, changed INTEGER) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""
_log = logging.getLogger(__name__)


def opened(folder: Path) -> sqlite3.Connection:
    """Open the catalogue in a folder; one in memory where there can be none."""
    try:
        with _alone(folder):
            try:
                return _connect(folder / NAME)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                _log.warning("%s is made anew: %s", folder / NAME, error)
                for suffix in ("-journal", ""):
                    Path(f"{folder / NAME}{suffix}").unlink(missing_ok=True)
                return _connect(folder / NAME)
    except (OSError, sqlite3.Error) as error:
        _log.warning("the catalogue of %s is kept in memory: %s", folder, error)
        return in_memory()


def identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells the catalogue's file in a folder from one that took its place; None without one."""
    try:
        status = (folder / NAME).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def in_memory() -> sqlite3.Connection:
    """Return a catalogue that lasts as long as the process."""
    return _connect(":memory:")


def _connect(path: Path | str) -> sqlite3.Connection:
    """Open a database; sqlite3.DatabaseError if it is damaged or of another version."""
    database = sqlite3.connect(path, _PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        # A power cut may damage it, which the check finds: then it is made anew, and nothing waits for the disk.
        database.execute("PRAGMA synchronous = OFF")
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("it is damaged")
        version, tables = (
            database.execute(statement).fetchone()[0]
            for statement in ("PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
        )
        if not tables:
            database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"it is version {version}, expected {VERSION}")
        # Perhaps only the codec was not known.
        database.execute("UPDATE streams SET damaged = 0 WHERE damaged")
    except BaseException:
        database.close()
        raise
    return database


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from opening the catalogue meanwhile; OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
