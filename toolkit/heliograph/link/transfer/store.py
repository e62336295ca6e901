"""What the receiver keeps on disk: whole streams, arriving ones, and what was ever received.

In OUT/<device>/ lie

- `<name>`: a whole stream; it takes this name when its SHA-256 was checked and it is on the disk, and keeps it. What
  comes under the name with another SHA-256 is another picture, `<name less .helio>.<digits of its SHA-256>.helio`;
- `<name>.partial` and `<name>.state`: one that is arriving, see `heliograph.link.transfer.partial`;
- `.received`: a line for each whole stream, see `heliograph.link.transfer.ledger`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from heliograph.errors import NotNowError
from heliograph.files import make_folder, sync_folder
from heliograph.link.transfer.ledger import Held, Ledger
from heliograph.link.transfer.partial import BLOCK, Partial, keeping
from heliograph.link.transfer.quota import Quotas, Usage
from heliograph.link.wire.names import apart

_SHELVES = 64  # open at a time


class Shelf:
    """The folder of one device, made when it is opened, and used by one process at a time.

    Raises:
        OutputError: it cannot be made or written; NotNowError if the disk is full or another receiver uses it; this
            holds for every method.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.folder, self.device = folder / device, device
        with keeping(self.folder):
            make_folder(self.folder)
        self._ledger = Ledger(self.folder)
        with keeping(self.folder):
            self._tidy()

    def close(self) -> None:
        """Let other processes use the folder."""
        self._ledger.close()

    @property
    def is_there(self) -> bool:
        """Whether the folder is still the one that was opened: somebody may have removed it or moved it away."""
        return self._ledger.is_there

    def holds(self, name: str) -> Held | None:
        """Return what is held under a name, also if it was moved away; None without a whole stream."""
        if (held := self._ledger.get(name)) is not None:
            return held
        with keeping(self.folder / name):
            data = _read_file(self.folder / name)
        if data is None:
            return None
        self._ledger.note(name, held := Held.of(data))
        return held

    def place(self, name: str, digest: bytes, taken: Collection[str] = ()) -> str:
        """Return the name to keep a stream under: its own, or one apart where that was given to anything else.

        `taken` are names that others arrive under.
        """
        for candidate in apart(name, digest):
            held = self.holds(candidate)
            if (held and held.digest == digest) or (
                held is None and candidate not in taken and not os.path.lexists(self.folder / candidate)
            ):
                return candidate
        raise NotNowError(f"{self.folder / name} cannot be kept: all names for it are taken; move them away")

    def open(self, name: str, size: int, digest: bytes) -> Partial:
        """Return a stream to be received, with what an earlier process has of it."""
        partial = Partial(self.folder, name, size, digest)
        partial.load()
        return partial

    def finish(self, partial: Partial) -> Held | None:
        """Give a stream its name if its SHA-256 fits and return what is held; remove it and return None if not."""
        data = partial.read()
        if len(data) != partial.size or hashlib.sha256(data).digest() != partial.digest:
            partial.discard()
            return None
        held = Held.of(data)
        with keeping(partial.data_path):
            if os.path.lexists(self.folder / partial.name):
                raise NotNowError(
                    f"{self.folder / partial.name} was put there by something else; move it away"
                )
            partial.data_path.rename(self.folder / partial.name)
            sync_folder(self.folder)
            partial.used = (self.folder / partial.name).stat().st_blocks * BLOCK
            self._ledger.note(partial.name, held)
            partial.state_path.unlink(missing_ok=True)
        return held

    def _tidy(self) -> None:
        """Remove what is left of streams that are whole: the process ended between giving the name and tidying up."""
        for state in self.folder.glob("*.state"):
            name = state.name.removesuffix(".state")
            if name in self._ledger or (self.folder / name).exists():
                state.unlink()
                (self.folder / f"{name}.partial").unlink(missing_ok=True)


class Store:
    """The folder of all devices; a device gets its folder, the shelf, when the first bytes of it are kept.

    Raises:
        OutputError: a folder cannot be written; NotNowError if the disk is full, a quota is used up, there are too many
            devices, or another receiver uses the folder: others may still have room. This holds for every method.
    """

    def __init__(self, folder: Path, quotas: Quotas | None = None) -> None:
        self.folder = folder
        self._shelves: dict[str, Shelf] = {}
        self._usage = Usage(folder, quotas or Quotas())

    def shelf(self, device: str) -> Shelf | None:
        """Return the shelf of a device, whose name was checked; None if it has none yet."""
        if device not in self._shelves and not (self.folder / device).is_dir():
            return None
        return self._open(device)

    def open(self, device: str, name: str, size: int, digest: bytes) -> Partial:
        """Return a stream to be received, with what is there of it; nothing is made yet."""
        shelf = self.shelf(device)
        partial = (
            shelf.open(name, size, digest) if shelf else Partial(self.folder / device, name, size, digest)
        )
        if shelf is None:
            self._usage.admit(device)
        self._usage.check(device, size - partial.held.total)
        return partial

    def sync(self, device: str, partial: Partial) -> None:
        """Bring what a stream has taken to the disk; if that fails it still waits."""
        if partial.pending:
            self._open(device)
            self._usage.check(device, partial.unsynced)
            with self._counting(device, partial):
                partial.check()
                partial.sync()

    def finish(self, device: str, partial: Partial) -> Held | None:
        """Give a stream its name if its SHA-256 fits and return what is held; remove it and return None if not."""
        with self._counting(device, partial):
            shelf = self._open(device)
            partial.check()
            return shelf.finish(partial)

    def discard(self, device: str, partial: Partial) -> None:
        """Remove what has arrived of a stream."""
        with self._counting(device, partial):
            partial.discard()

    def close(self) -> None:
        """Let other processes use the folders."""
        for shelf in self._shelves.values():
            shelf.close()
        self._shelves.clear()

    @contextlib.contextmanager
    def _counting(self, device: str, partial: Partial) -> Iterator[None]:
        before = partial.used
        try:
            yield
        finally:
            self._usage.count(device, partial.used - before)

    def _open(self, device: str) -> Shelf:
        shelf = self._shelves.pop(device, None)
        if shelf is not None and not shelf.is_there:
            shelf.close()
            shelf = None
        if shelf is None:
            with keeping(self.folder):
                make_folder(self.folder)
            self._usage.admit(device)
            if len(self._shelves) >= _SHELVES:
                self._shelves.pop(next(iter(self._shelves))).close()
            shelf = Shelf(self.folder, device)
            self._usage.count(device, 0)
        self._shelves[device] = shelf  # now the one used last
        return shelf


def _read_file(path: Path) -> bytes | None:
    """Return the bytes of a file; None if there is none, or a link, a folder or a device; OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            return None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()
