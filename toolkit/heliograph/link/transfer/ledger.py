"""What a device's folder ever received: the file `.received`, so that nothing comes again when it was moved away."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from heliograph.errors import NotNowError
from heliograph.files import sync_folder
from heliograph.link.transfer.partial import keeping, write_synced

NAME = ".received"
_REMEMBERED = 20000  # lines that are kept
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Ledger:
    """A line for each whole stream, its SHA-256 and its name; who has it open has the folder for himself.

    Raises:
        OutputError: it cannot be read or written; NotNowError if another process has it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._received: dict[str, bytes] = {}
        self._unwritten = b""  # lines for which the disk had no room
        with keeping(self._path):
            self._file = os.open(self._path, _FLAGS, 0o666)
        try:
            self._lock()
            with keeping(self._path):
                self._read()
        except BaseException:
            os.close(self._file)
            raise

    def __contains__(self, name: str) -> bool:
        return name in self._received

    def close(self) -> None:
        """Let other processes use the folder."""
        os.close(self._file)

    def get(self, name: str) -> bytes | None:
        """Return the SHA-256 of what was received under a name."""
        return self._received.get(name)

    def note(self, name: str, digest: bytes) -> None:
        """Remember a stream; on a full disk its line is written with the next one, and until then its file tells."""
        self._received[name] = digest
        self._unwritten += f"{digest.hex()} {name}\n".encode()
        with contextlib.suppress(NotNowError), keeping(self._path):
            size = os.fstat(self._file).st_size
            try:
                done = os.write(self._file, self._unwritten)
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, size)
                raise
            if done < len(self._unwritten):
                os.ftruncate(self._file, size)
                return
            self._unwritten = b""

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise NotNowError(
                f"{self._path.parent} is in use by another heliograph receive; stop it, or give another --out"
            ) from error

    def _read(self) -> None:
        """Read the lines; what a power cut left of one is cut off, and old ones are let go where there is room."""
        data = os.pread(self._file, os.fstat(self._file).st_size, 0)
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._file, whole)
        lines = data[:whole].decode("ascii", "replace").splitlines()
        for line in lines[-_REMEMBERED:]:
            digest, _, name = line.partition(" ")
            with contextlib.suppress(ValueError):
                if len(digest) == 64 and name.endswith(".helio"):
                    self._received[name] = bytes.fromhex(digest)
        if len(lines) > 2 * _REMEMBERED:
            with contextlib.suppress(NotNowError), keeping(self._path):
                self._rewrite()

    def _rewrite(self) -> None:
        text = "".join(f"{digest.hex()} {name}\n" for name, digest in self._received.items())
        fresh = self._path.with_name(f"{NAME}.partial")
        write_synced(fresh, os.O_TRUNC, [(0, text.encode())])
        fresh.replace(self._path)
        sync_folder(self._path.parent)
        os.close(self._file)
        self._file = os.open(self._path, _FLAGS)
        self._lock()
