"""Packets of pictures that are not whole yet, on the disk, so that a receiver that starts again has them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from heliograph.errors import NotNowError
from heliograph.files import make_folder, read_regular, replace_whole
from heliograph.link.transfer.partial import keeping, write_synced
from heliograph.packets.packet import LEAST_BYTES, MOST_BYTES

NAME = ".packets"
MOST_BYTES_READ = 256 << 20
MOST_WAITING = 4 << 20  # bytes that wait for a disk that is full
_SIZE = 2  # bytes of a packet's length before it


class Journal:
    """A file of packets, each after its length in two bytes; what a power cut left of the last one is passed over.

    Raises:
        OutputError: the file cannot be read or written; NotNowError from `sync`, if the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._waiting: list[bytes] = []
        self.size = 0

    def load(self) -> list[bytes]:
        """Return the packets that an earlier process left; a file that is not ours, or too long, has none."""
        try:
            data = read_regular(self._path, MOST_BYTES_READ)
        except OSError:
            return []
        packets, at = [], 0
        while at + _SIZE <= len(data):
            size = int.from_bytes(data[at : at + _SIZE], "little")
            if not LEAST_BYTES <= size <= MOST_BYTES or at + _SIZE + size > len(data):
                break
            packets.append(data[at + _SIZE : at + _SIZE + size])
            at += _SIZE + size
        self.size = at
        return packets

    def add(self, packet: bytes) -> None:
        """Take a packet, which is on the disk after `sync`; too many that wait are let go."""
        if sum(map(len, self._waiting)) < MOST_WAITING:
            self._waiting.append(packet)

    def sync(self) -> None:
        """Bring what was taken to the disk; if that fails it still waits."""
        if not self._waiting:
            return
        data = _joined(self._waiting)
        with keeping(self._path):
            make_folder(self._path.parent)
            write_synced(self._path, 0, [(self.size, data)])
        self.size += len(data)
        self._waiting = []

    def rewrite(self, packets: Iterable[bytes]) -> None:
        """Keep these packets alone; on a full disk the file stays as it is."""
        data = _joined(packets)
        with contextlib.suppress(NotNowError), keeping(self._path):
            if data:
                replace_whole(self._path, data)
            elif self.size:
                self._path.unlink(missing_ok=True)
            self.size, self._waiting = len(data), []


def _joined(packets: Iterable[bytes]) -> bytes:
    return b"".join(len(packet).to_bytes(_SIZE, "little") + packet for packet in packets)
