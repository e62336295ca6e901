"""What the receiver keeps on disk: whole streams, partial ones with their state, and what was ever received.

In OUT/<device>/ lie

- `<name>`: a whole stream; it takes this name when its SHA-256 was checked and it is on the disk;
- `<name>.partial`: the bytes of one that have arrived, in their places, and `heliograph decode --partial` takes it;
- `<name>.state`: which bytes those are: SHA-256 and size of the stream, then for each run of bytes its offset, length
  and CRC-32C. A record counts only if its CRC fits, so a power cut between any two writes does no harm;
- `.received`: a line for each whole stream, so that none comes again when it was moved away.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from crc32c import crc32c

from heliograph.errors import OutputError
from heliograph.files import sync_folder
from heliograph.link.transfer.ranges import RangeSet

_STATE = struct.Struct("<4s32sI")
_RECORD = struct.Struct("<III")
_MAGIC = b"HGS1"
_SHELVES = 64  # open at a time
_REMEMBERED = 20000  # lines of `.received` that are kept


@contextlib.contextmanager
def _errors(what: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot keep {what}: {error.strerror or error}; free some space or make the folder writable, then start "
            "heliograph receive again: what is there is kept, and the sender goes on from it"
        ) from error


def _write_synced(path: Path, flags: int, pieces: list[tuple[int, bytes]]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o666)
    try:
        for offset, data in pieces:
            view = memoryview(data)
            while view:
                count = (
                    os.pwrite(descriptor, view, offset)
                    if not flags & os.O_APPEND
                    else os.write(descriptor, view)
                )
                view, offset = view[count:], offset + count
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass
class Partial:
    """A stream that is arriving; `held` are its bytes on the disk, `pending` those that are not yet."""

    folder: Path
    name: str
    size: int
    digest: bytes
    held: RangeSet = field(default_factory=RangeSet)
    pending: list[tuple[int, bytes]] = field(default_factory=list)
    is_new: bool = True

    @property
    def data_path(self) -> Path:
        return self.folder / f"{self.name}.partial"

    @property
    def state_path(self) -> Path:
        return self.folder / f"{self.name}.state"

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are on the disk."""
        return self.held.covers(0, self.size)

    def write(self, offset: int, data: bytes) -> None:
        """Take bytes; they are on the disk after `sync`."""
        last = self.pending[-1] if self.pending else None
        if last and last[0] + len(last[1]) == offset:
            self.pending[-1] = (last[0], last[1] + data)
        else:
            self.pending.append((offset, data))

    def sync(self) -> None:
        """Bring all bytes taken to the disk; OutputError if that fails."""
        if not self.pending:
            return
        records = [_RECORD.pack(offset, len(data), crc32c(data)) for offset, data in self.pending]
        with _errors(self.data_path):
            if self.is_new:
                head = _STATE.pack(_MAGIC, self.digest, self.size)
                _write_synced(self.data_path, os.O_TRUNC, self.pending)
                _write_synced(self.state_path, os.O_TRUNC, [(0, head + b"".join(records))])
                sync_folder(self.folder)
                self.is_new = False
            else:
                _write_synced(self.data_path, 0, self.pending)
                _write_synced(self.state_path, os.O_APPEND, [(0, b"".join(records))])
        for offset, data in self.pending:
            self.held.add(offset, offset + len(data))
        self.pending.clear()

    def load(self) -> None:
        """Take over what an earlier process left of the same version; anything else counts as nothing."""
        try:
            state, data = self.state_path.read_bytes(), self.data_path.read_bytes()
        except OSError:
            return
        if len(state) < _STATE.size or _STATE.unpack_from(state) != (_MAGIC, self.digest, self.size):
            return
        good = bytearray(state[: _STATE.size])
        for at in range(_STATE.size, len(state) - _RECORD.size + 1, _RECORD.size):
            offset, length, crc = _RECORD.unpack_from(state, at)
            run = data[offset : offset + length]
            if len(run) == length and offset + length <= self.size and crc32c(run) == crc:
                self.held.add(offset, offset + length)
                good += state[at : at + _RECORD.size]
        if len(good) != len(state):  # a torn record would put all after it out of step
            with _errors(self.state_path):
                _write_synced(self.state_path, os.O_TRUNC, [(0, bytes(good))])
        self.is_new = False

    def read(self) -> bytes:
        """Return the file's bytes; OutputError if it cannot be read."""
        with _errors(self.data_path):
            return self.data_path.read_bytes() if not self.is_new else b""

    def discard(self) -> None:
        """Remove the files."""
        with _errors(self.data_path):
            self.state_path.unlink(missing_ok=True)
            self.data_path.unlink(missing_ok=True)
        self.held, self.is_new = RangeSet(), True
        self.pending.clear()


def arrived(partial: Path) -> tuple[int, int]:
    """Return how many bytes of `<name>.partial` have arrived, and of how many; (0, 0) if that is not known yet.

    Overlapping runs count once, and what a checksum would show as damaged is not looked for: it is for showing.
    """
    try:
        state = partial.with_suffix(".state").read_bytes()
    except OSError:
        return 0, 0
    if len(state) < _STATE.size or not state.startswith(_MAGIC):
        return 0, 0
    size, held = _STATE.unpack_from(state)[2], RangeSet()
    for at in range(_STATE.size, len(state) - _RECORD.size + 1, _RECORD.size):
        offset, length, _ = _RECORD.unpack_from(state, at)
        if offset + length <= size:
            held.add(offset, offset + length)
    return held.total, size


class Shelf:
    """The folder of one device, made when it is opened, and used by one process at a time.

    Raises:
        OutputError: it cannot be made or written, or another receiver uses it; this holds for every method.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.folder, self.device = folder / device, device
        ledger = self.folder / ".received"
        with _errors(self.folder):
            is_new = not self.folder.is_dir()
            self.folder.mkdir(parents=True, exist_ok=True)
            if is_new:
                sync_folder(folder)
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
        with _errors(self.folder / name):
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
        with _errors(partial.data_path):
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
        found = {}
        for line in lines[-_REMEMBERED:]:
            digest, _, name = line.partition(" ")
            with contextlib.suppress(ValueError):
                if len(digest) == 64 and name.endswith(".helio"):
                    found[name] = bytes.fromhex(digest)
        if (text and not text.endswith("\n")) or len(lines) > 2 * _REMEMBERED:
            whole = "".join(f"{digest.hex()} {name}\n" for name, digest in found.items())
            fresh = self.folder / ".received.partial"
            _write_synced(fresh, os.O_TRUNC, [(0, whole.encode())])
            fresh.replace(self.folder / ".received")
            sync_folder(self.folder)
            os.close(self._ledger)
            self._ledger = os.open(self.folder / ".received", os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            fcntl.flock(self._ledger, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return found


class Store:
    """The folder of all devices; a shelf is opened when its device first has something to keep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shelves: dict[str, Shelf] = {}

    def shelf(self, device: str) -> Shelf:
        """Return the shelf of a device, whose name was checked; OutputError if it cannot be used."""
        if device not in self._shelves:
            with _errors(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
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
