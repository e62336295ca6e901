"""Output files that appear whole or not at all, and stay through a power cut."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

from heliograph.errors import OutputError

_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP}


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is on the disk, whole and under its name, when this returns.

    Raises:
        OutputError: the disk is full, the folder is missing or not writable: an older file of the name is still
            there, whole; or the disk failed.
    """
    try:
        replace_whole(path, data)
    except OSError as error:
        reason, way = error.strerror or str(error), "free some space or write elsewhere"
        if error.errno == errno.ENAMETOOLONG:
            reason = f"its name has {len(os.fsencode(path.name))} bytes, expected at most {_longest_name(path.parent)}"
            way = "give a shorter one"
        raise OutputError(f"cannot write {path} ({len(data)} bytes): {reason}; {way}") from error


def replace_whole(path: Path, data: bytes) -> None:
    """Do what `write_whole` does, for callers that look at the reason: the OSError itself is raised.

    The bytes go into `.NAME.*.partial` in the same folder, NAME cut after 48 characters, which is flushed before it
    takes the name. Only a process that dies leaves such a file behind.
    """
    partial = path.with_name(f".{path.name[:48]}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    sync_folder(path.parent)


def _longest_name(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except OSError:
        return 255


def make_folder(folder: Path) -> None:
    """Make a folder and those it lies in, so that they last; one that is there stays as it is. OSError."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last: what was created, renamed and removed there survives a power cut.

    A file system that cannot flush a folder says EINVAL or ENOTSUP. That is ignored: there is nothing else that a
    program could do there. Every other error, EIO above all, means that the names may not be on the disk.

    Raises:
        OSError: such an error; who promised that something is on the disk must not go on.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)
