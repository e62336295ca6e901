"""A stream that is arriving, on the receiver's disk: a power cut between any two writes does no harm.

- `<name>.partial`: the bytes that have arrived, in their places; `heliograph decode --partial` takes it;
- `<name>.state`: which bytes those are: SHA-256 and size of the stream, then for each run of bytes its offset, length
  and CRC-32C. A record counts only if its CRC fits.
"""

from __future__ import annotations

import contextlib
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


@contextlib.contextmanager
def keeping(what: Path) -> Iterator[None]:
    """Turn errors of the file system into OutputErrors that say what could not be kept."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot keep {what}: {error.strerror or error}; free some space or make the folder writable, then start "
            "heliograph receive again: what is there is kept, and the sender goes on from it"
        ) from error


def write_synced(path: Path, flags: int, pieces: list[tuple[int, bytes]]) -> None:
    """Write bytes at offsets of a file, which is made if it is missing, and flush them; OSError."""
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
    """A stream that is arriving; `held` are its bytes on the disk, `pending` those that are not yet.

    Raises:
        OutputError: from every method but `write`, the disk is full or the folder not writable.
    """

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
        """Bring all bytes taken to the disk."""
        if not self.pending:
            return
        records = [_RECORD.pack(offset, len(data), crc32c(data)) for offset, data in self.pending]
        with keeping(self.data_path):
            if self.is_new:
                head = _STATE.pack(_MAGIC, self.digest, self.size)
                write_synced(self.data_path, os.O_TRUNC, self.pending)
                write_synced(self.state_path, os.O_TRUNC, [(0, head + b"".join(records))])
                sync_folder(self.folder)
                self.is_new = False
            else:
                write_synced(self.data_path, 0, self.pending)
                write_synced(self.state_path, os.O_APPEND, [(0, b"".join(records))])
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
            with keeping(self.state_path):
                write_synced(self.state_path, os.O_TRUNC, [(0, bytes(good))])
        self.is_new = False

    def read(self) -> bytes:
        """Return the file's bytes."""
        with keeping(self.data_path):
            return self.data_path.read_bytes() if not self.is_new else b""

    def discard(self) -> None:
        """Remove the files."""
        with keeping(self.data_path):
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
