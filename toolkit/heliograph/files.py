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
        if size > most:
            raise OSError(errno.EFBIG, f"it has {size} bytes, expected at most {most}", str(path))
        data = handle.read(size + 1)  # one byte more, to see the end: files below /proc say 0 and are endless
    if len(data) > size:
        raise OSError(errno.EFBIG, "it became longer while it was read", str(path))
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
        raise OutputError(f"cannot write {path} ({len(data)} bytes): {why(error, path)}") from error


def write_where_told(path: Path, data: bytes) -> None:
    """Write a result where a user wants it: as `write_whole`, in new folders, behind links, into pipes and devices.

    Raises:
        OutputError: see `write_whole`; or a folder cannot be made, or a link leads to itself.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make folder {path.parent}: {why(error, path.parent)}") from error
    real = Path(os.path.realpath(path))
    try:
        mode = os.stat(real).st_mode  # noqa: PTH116 - as the line before
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            with real.open("wb") as handle:
                handle.write(data)
            return
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
            raise OutputError(f"cannot write {path} ({len(data)} bytes): {why(error, path)}") from error
    write_whole(real, data)


def why(error: OSError, path: Path) -> str:
    """Return why a path cannot be written, and what to do."""
    if error.errno == errno.ENAMETOOLONG:
        size, most = max(len(os.fsencode(part)) for part in path.parts), _longest_name(path.parent)
        if size > most:
            return f"its name has {size} bytes, expected at most {most}; give a shorter one"
    return f"{error.strerror or error}; free some space or write elsewhere"


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
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # one may write into it and not list it
        os.sync()
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)
