"""What a device's folder ever received: the file `.received`, so that nothing comes again when it was moved away."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from heliograph.errors import FolderLostError, NotNowError
from heliograph.files import sync_folder
from heliograph.link.transfer.partial import keeping, write_synced
from heliograph.link.wire.proofs import witness_of

NAME = ".received"
_REMEMBERED = 20000  # lines that are kept
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Held(NamedTuple):
    """A whole stream: its SHA-256, and the witness that proves to its sender that it is here."""

    digest: bytes
    witness: bytes

    @classmethod
    def of(cls, data: bytes) -> Held:
        return cls(hashlib.sha256(data).digest(), witness_of(data))


class Ledger:
    """A line for each whole stream, its SHA-256, its witness and its name; who has it open has the folder for himself.

    Raises:
        OutputError: it cannot be read or written; FolderLostError if another process has it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._received: dict[str, Held] = {}
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

    @property
    def is_there(self) -> bool:
        """Whether the file is still in its folder."""
        try:
            return os.path.samestat(os.fstat(self._file), os.lstat(self._path))
        except OSError:
            return False

    def close(self) -> None:
        """Let other processes use the folder."""
        os.close(self._file)

    def get(self, name: str) -> Held | None:
        """Return what was received under a name."""
        return self._received.get(name)

    def note(self, name: str, held: Held) -> None:
        """Remember a stream; on a full disk its line is written with the next one, and until then its file tells."""
        self._received[name] = held
        self._unwritten += _line(name, held)
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
            if len(self._received) > 2 * _REMEMBERED:  # in a process that runs for years, too
                self._received = dict(list(self._received.items())[-_REMEMBERED:])
                self._rewrite()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FolderLostError(
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
            with contextlib.suppress(ValueError):
                digest, witness, name = line.split(" ")
                if len(digest) == len(witness) == 64 and name.endswith(".helio"):
                    self._received[name] = Held(bytes.fromhex(digest), bytes.fromhex(witness))
        if len(lines) > 2 * _REMEMBERED:
            with contextlib.suppress(NotNowError), keeping(self._path):
                self._rewrite()

    def _rewrite(self) -> None:
        lines = b"".join(_line(name, held) for name, held in self._received.items())
        fresh = self._path.with_name(f"{NAME}.partial")
        write_synced(fresh, os.O_TRUNC, [(0, lines)])
        fresh.replace(self._path)
        sync_folder(self._path.parent)
        os.close(self._file)
        self._file = os.open(self._path, _FLAGS)
        self._lock()


def _line(name: str, held: Held) -> bytes:
    return f"{held.digest.hex()} {held.witness.hex()} {name}\n".encode()
