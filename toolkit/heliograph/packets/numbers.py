"""Numbers of pictures, none of which a device uses twice in its life (PACKETS.md, section 1)."""

from __future__ import annotations

import time
from pathlib import Path

from heliograph.errors import PacketError
from heliograph.files import write_where_told
from heliograph.packets.packet import PICTURES

EPOCH = 1_767_225_600  # 2026-01-01, where the clock's numbers begin
SECONDS = 4  # of a number: those of the clock last for 34 years


class PictureNumbers:
    """The number of the next picture, kept in a file.

    It is the file's or the clock's, whichever is higher, so that a device whose file was lost goes on with new numbers
    if its clock is right.

    Raises:
        PacketError: the file is damaged; from `take`, there is no number left.
        OutputError: from `take`, the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            stored = int(path.read_text(encoding="ascii"))
        except FileNotFoundError:
            stored = 0
        except (OSError, ValueError) as error:
            raise PacketError(
                f"number file {path} cannot be used ({error}); remove it if the device's clock is right"
            ) from error
        self._next = max(stored, int(time.time() - EPOCH) // SECONDS, 0)

    def take(self, count: int = 1) -> int:
        """Return the first of `count` numbers that follow each other, which are used up now."""
        first = self._next
        if first + count > PICTURES:
            raise PacketError(
                f"picture number {first} is the device's last but {PICTURES - first}; give the device another name"
            )
        write_where_told(self._path, f"{first + count}\n".encode())
        self._next = first + count
        return first
