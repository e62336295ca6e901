"""Files: those written appear whole or not at all and stay through a power cut, those read are files and no devices."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

from heliograph.errors import OutputError

_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP}


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read; of a pipe nothing is waited for, and of a device nothing is read.

    Links are followed: what they lead to must be a file.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a socket or a device.
    """
    # Without O_NONBLOCK the opening of a pipe waits for a writer; a terminal must not become this process's.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file", str(path))


def read_regular(path: Path, most: int) -> bytes:
    """Return the bytes of a file of at most so many; see `open_regular`, whose errors are raised too.

    Raises:
        OSError: it is longer, or became longer while it was read.
    """
    with open_regular(path) as handle:
        size = os.fstat(handle.fileno()).st_size
        # One byte more, to see the end: files below /proc say 0 and are endless.
        data = handle.read(min(size, most) + 1)
    if len(data) > size and size <= most:
        raise OSError(errno.EFBIG, "it became longer while it was read", str(path))
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has {size} bytes, expected at most {most}", str(path))
    return data


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
