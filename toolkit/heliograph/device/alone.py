"""One process for each spool and for each source folder: locks that end with the process that holds them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from heliograph.errors import CameraError, SpoolError

_LOCK = ".capture"
_IN_USE = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


@contextlib.contextmanager
def alone_in_spool(folder: Path) -> Iterator[None]:
    """Be the one process that captures into a spool, whose folder is there.

    Raises:
        SpoolError: another one does, or the folder cannot be written.
    """
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise SpoolError(
            f"cannot write the spool {folder}: {error.strerror}; check the disk and who may write there"
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _IN_USE:
                raise SpoolError(
                    f"another heliograph capture works into the spool {folder}; end that one, or give another --spool"
                ) from error
            # A file system without locks: nobody can be told from nobody.
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def alone_with_source(folder: Path) -> Iterator[None]:
    """Be the one process on this machine that takes the pictures of a folder, whether or not it is there yet.

    Nothing is written there and nothing of it is kept open: a card can be taken out.

    Raises:
        CameraError: another one does.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    # A name without a file, which the system gives free when its process ends.
    name = (
        b"\0heliograph-capture-" + hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest().encode()
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lock:
        try:
            lock.bind(name)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CameraError(
                    f"another heliograph capture takes the pictures of {folder}; end that one, or give another folder"
                ) from error
        yield
