"""What the receiver keeps on disk: whole streams, arriving ones, and what was ever received.

In OUT/<device>/ lie

- `<name>`: a whole stream; it takes this name when its SHA-256 was checked and it is on the disk;
- `<name>.partial` and `<name>.state`: one that is arriving, see `heliograph.link.transfer.partial`;
- `.received`: a line for each whole stream, so that none comes again when it was moved away.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from pathlib import Path

from heliograph.errors import OutputError
from heliograph.files import make_folder, sync_folder
from heliograph.link.transfer.partial import Partial, keeping, write_synced

_SHELVES = 64  # open at a time
_REMEMBERED = 20000  # lines of `.received` that are kept


class Shelf:
    """The folder of one device, made when it is opened, and used by one process at a time.

    Raises:
        OutputError: it cannot be made or written, or another receiver uses it; this holds for every method.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.folder, self.device = folder / device, device
        ledger = self.folder / ".received"
        with keeping(self.folder):
            make_folder(self.folder)
            self._ledger = os.open(ledger, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(self._ledger, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(self._ledger)
                raise OutputError(
                    f"{self.folder} is in use by another heliograph receive; stop it, or give another --out"
                ) from error
            self._received = self._read_ledger()
            self._tidy()

    def close(self) -> None:
        """Let other processes use the folder."""
        os.close(self._ledger)

    def holds(self, name: str) -> bytes | None:
        """Return the SHA-256 of the whole stream of a name, also of one that was moved away; None without one."""
        if name in self._received:
            return self._received[name]
        with keeping(self.folder / name):
            try:
                digest = hashlib.sha256((self.folder / name).read_bytes()).digest()
            except FileNotFoundError:
                return None
            self._note(name, digest)
        return digest

    def open(self, name: str, size: int, digest: bytes) -> Partial:
        """Return a stream to be received, with what an earlier process has of it."""
        partial = Partial(self.folder, name, size, digest)
        partial.load()
        return partial

    def finish(self, partial: Partial) -> bool:
        """Give a stream its name if its SHA-256 fits, and remove what is there if not; return whether it did."""
        data = partial.read()
        if len(data) != partial.size or hashlib.sha256(data).digest() != partial.digest:
            partial.discard()
            return False
        with keeping(partial.data_path):
            partial.data_path.replace(self.folder / partial.name)
            sync_folder(self.folder)
            self._note(partial.name, partial.digest)
            partial.state_path.unlink(missing_ok=True)
        return True

    def _tidy(self) -> None:
        """Remove what is left of streams that are whole: the process ended between giving the name and tidying up."""
        for state in self.folder.glob("*.state"):
            name = state.name.removesuffix(".state")
            if name in self._received or (self.folder / name).exists():
                state.unlink()
                (self.folder / f"{name}.partial").unlink(missing_ok=True)

    def _note(self, name: str, digest: bytes) -> None:
        os.write(self._ledger, f"{digest.hex()} {name}\n".encode())
        os.fsync(self._ledger)
        self._received[name] = digest

    def _read_ledger(self) -> dict[str, bytes]:
        """Return what was received; what a power cut left of a line is closed, and old lines are let go."""
        size = os.fstat(self._ledger).st_size
        text = os.pread(self._ledger, size, 0).decode("ascii", "replace")
        lines = text.splitlines()
        received = {}
        for line in lines[-_REMEMBERED:]:
            digest, _, name = line.partition(" ")
            with contextlib.suppress(ValueError):
                if len(digest) == 64 and name.endswith(".helio"):
                    received[name] = bytes.fromhex(digest)
        if (text and not text.endswith("\n")) or len(lines) > 2 * _REMEMBERED:
            whole = "".join(f"{digest.hex()} {name}\n" for name, digest in received.items())
            fresh = self.folder / ".received.partial"
            write_synced(fresh, os.O_TRUNC, [(0, whole.encode())])
            fresh.replace(self.folder / ".received")
            sync_folder(self.folder)
            os.close(self._ledger)
            self._ledger = os.open(self.folder / ".received", os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            fcntl.flock(self._ledger, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return received


class Store:
    """The folder of all devices; a shelf is opened when its device first has something to keep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shelves: dict[str, Shelf] = {}

    def shelf(self, device: str) -> Shelf:
        """Return the shelf of a device, whose name was checked; OutputError if it cannot be used."""
        if device not in self._shelves:
            with keeping(self.folder):
                make_folder(self.folder)
            if len(self._shelves) >= _SHELVES:
                self._shelves.pop(next(iter(self._shelves))).close()
            self._shelves[device] = Shelf(self.folder, device)
        self._shelves[device] = self._shelves.pop(device)  # now the one used last
        return self._shelves[device]

    def close(self) -> None:
        """Let other processes use the folders."""
        for shelf in self._shelves.values():
            shelf.close()
        self._shelves.clear()
