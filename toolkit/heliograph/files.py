"""Output files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from heliograph.errors import OutputError


def write_whole(path: Path, data: bytes) -> None:
    """Write a file through a temporary one in the same folder, flushed to the disk before it takes the name.

    Raises:
        OutputError: the disk is full, the folder is missing or not writable; no part of the file is left.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
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
        _sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path} ({len(data)} bytes): {reason}; free some space or write elsewhere"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; some file systems refuse to sync a folder, and have no need of it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
