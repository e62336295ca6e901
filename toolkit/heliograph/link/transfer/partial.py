"""A stream that is arriving, on the receiver's disk: a power cut between any two writes does no harm.

- `<name>.partial`: the bytes that have arrived, in their places; `heliograph decode --partial` takes it;
- `<name>.state`: which bytes those are: SHA-256 and size of the stream, then for each run of bytes its offset, length
  and CRC-32C. A record counts only if its CRC fits.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crc32c import crc32c

from heliograph.errors import FolderLostError, NotNowError, OutputError
from heliograph.files import sync_folder
from heliograph.link.transfer.ranges import RangeSet

MAX_RUNS = 4096  # ranges of a stream that are kept apart; a sender that fills the first gap first needs few
BLOCK = 512  # bytes, in which the system says what a file takes
_STATE = struct.Struct("<4s32sI")
_RECORD = struct.Struct("<III")
_MAGIC = b"HGS1"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
# Of one place, which a device may have named: others are kept.
_GONE = {errno.ENOENT, errno.ESTALE}
_TAKEN = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EACCES, errno.EPERM}


@contextlib.contextmanager
def keeping(what: Path) -> Iterator[None]:
    """Turn errors of the file system into OutputErrors that say what could not be kept.

    NotNowError if the disk is full, the place is taken by something that is not ours, or its folder was removed.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _NO_ROOM:
            raise NotNowError(
                f"cannot keep {what}: {reason}; free some space: what is there is kept, and the sender tries again"
            ) from error
        if error.errno in _TAKEN:
            raise NotNowError(
                f"cannot keep {what}: {reason}; move away what is there, or let this user write to it"
            ) from error
        if error.errno in _GONE:
            raise FolderLostError(
                f"cannot keep {what}: it was removed meanwhile; its folder is made again, and the sender tries again"
            ) from error
        raise OutputError(
            f"cannot keep {what}: {reason}; check the disk, then start heliograph receive again: what is there is "
            "kept, and the sender goes on from it"
        ) from error


def write_synced(path: Path, flags: int, pieces: Sequence[tuple[int, bytes | bytearray]]) -> int:
    """Write bytes at offsets of a file, made if missing, and flush them; return its bytes on the disk. OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o666)
    try:
        for offset, data in pieces:
            with memoryview(data) as view:
                done = 0
                while done < len(view):
                    done += os.pwrite(descriptor, view[done:], offset + done)
        os.fsync(descriptor)
        return os.fstat(descriptor).st_blocks * BLOCK
    finally:
        os.close(descriptor)


@dataclass
class Partial:
    """A stream that is arriving; `held` are its bytes on the disk, `pending` those that are not yet.

    Attributes:
        used: bytes that its files take on the disk.

    Raises:
        OutputError: from every method but `write`, the folder is not writable; NotNowError if the disk is full.
    """

    folder: Path
    name: str
    size: int
    digest: bytes
    held: RangeSet = field(default_factory=RangeSet)
    pending: list[tuple[int, bytearray]] = field(default_factory=list)
    is_new: bool = True
    used: int = 0
    _state_end: int = 0

    @property
    def data_path(self) -> Path:
        return self.folder / f"{self.name}.partial"

    @property
    def state_path(self) -> Path:
        return self.folder / f"{self.name}.state"

    @property
    def unsynced(self) -> int:
        """Bytes that wait for `sync`."""
        return sum(len(data) for _, data in self.pending)

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are on the disk."""
        return self.held.covers(0, self.size)

    def write(self, offset: int, data: bytes) -> bool:
        """Take bytes, which are on the disk after `sync`; return False, and do not, if there are too many holes."""
        if self.pending and self.pending[-1][0] + len(self.pending[-1][1]) == offset:
            self.pending[-1][1].extend(data)
            return True
        is_apart = not self.held.touches(offset, offset + len(data))
        if is_apart and len(self.held) + len(self.pending) >= MAX_RUNS:
            return False
        self.pending.append((offset, bytearray(data)))
        return True

    def sync(self) -> None:
        """Bring all bytes taken to the disk; if that fails they still wait, and what was there before is there."""
        if not self.pending:
            return
        records = b"".join(_RECORD.pack(offset, len(data), crc32c(data)) for offset, data in self.pending)
        flags, end = 0, self._state_end
        if self.is_new:
            records, flags, end = _STATE.pack(_MAGIC, self.digest, self.size) + records, os.O_TRUNC, 0
        with keeping(self.data_path):
            try:
                used = write_synced(self.data_path, flags, self.pending)
                used += write_synced(
                    self.state_path, flags, [(end, records)]
                )  # over what a failed write left there
                if self.is_new:
                    sync_folder(self.folder)
            except OSError:
                if self.is_new:  # an empty file, or one that nothing describes
                    self._unlink()
                raise
        for offset, data in self.pending:
            self.held.add(offset, offset + len(data))
        self.pending = []
        self.is_new, self.used, self._state_end = False, used, end + len(records)

    def load(self) -> None:
        """Take over what an earlier process left of the same version; anything else counts as nothing.

        Only what has arrived is read: a stream of a few bytes far apart costs no more than these.
        """
        try:
            state = self.state_path.read_bytes()
            data = os.open(self.data_path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return
        try:
            self.used = (
                os.fstat(data).st_blocks * BLOCK
            )  # also of another version: what is written takes its place
            if len(state) < _STATE.size or _STATE.unpack_from(state) != (_MAGIC, self.digest, self.size):
                return
            good = bytearray(state[: _STATE.size])
            for at in range(_STATE.size, len(state) - _RECORD.size + 1, _RECORD.size):
                offset, length, crc = _RECORD.unpack_from(state, at)
                if not length or offset + length > self.size:
                    continue
                run = os.pread(data, length, offset)
                if len(run) == length and crc32c(run) == crc:
                    self.held.add(offset, offset + length)
                    good += state[at : at + _RECORD.size]
        finally:
            os.close(data)
        self.is_new, self._state_end = False, len(good)
        with keeping(self.state_path):
            if len(good) != len(state):  # a torn record would put all after it out of step
                self.used += write_synced(self.state_path, os.O_TRUNC, [(0, good)])
            else:
                self.used += self.state_path.stat().st_blocks * BLOCK

    def read(self) -> bytes:
        """Return the file's bytes."""
        with keeping(self.data_path):
            return self.data_path.read_bytes() if not self.is_new else b""

    def read_first(self, stop: int) -> bytes:
        """Return at most the first `stop` bytes of the file."""
        if self.is_new:
            return b""
        with keeping(self.data_path), self.data_path.open("rb") as file:
            return os.pread(file.fileno(), stop, 0)

    def discard(self) -> None:
        """Remove the files."""
        with keeping(self.data_path):
            self.state_path.unlink(missing_ok=True)
            self.data_path.unlink(missing_ok=True)
        self.held, self.is_new, self.used = RangeSet(), True, 0
        self.pending.clear()

    def check(self) -> None:
        """Raise FolderLostError, and know of nothing on the disk any more, if somebody has removed the files."""
        if not self.is_new and not (self.data_path.exists() and self.state_path.exists()):
            self.discard()
            raise FolderLostError(f"{self.data_path} was removed while it arrived; it is received again")

    def _unlink(self) -> None:
        for path in (self.state_path, self.data_path):
            with contextlib.suppress(OSError):
                path.unlink()


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
