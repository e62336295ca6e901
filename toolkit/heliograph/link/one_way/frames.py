"""One-way frames around their bodies: the source, and with a key the proof of it and a number (LINK.md, section 6)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from heliograph.link.one_way.counters import COUNTER_BYTES, SeenCounters, SendingCounter
from heliograph.link.wire import keys
from heliograph.link.wire.frames import FrameCoder
from heliograph.link.wire.session import Trouble

PLAIN, KEYED = 0x20, 0x21
SOURCE_BYTES = 4
COUNTERS = ".one-way-counters"  # the receiver's file in its folder
_KEY_PURPOSE = "heliograph link 1 beacon"


def source_of(device: str) -> bytes:
    """Return the 4 bytes that stand for a device in a frame."""
    return hashlib.sha256(device.encode("ascii")).digest()[:SOURCE_BYTES]


def one_way_key(key: bytes) -> bytes:
    """Return the key of the tags of one-way frames."""
    return keys.derive(key, b"", _KEY_PURPOSE)


class FrameWriter:
    """Makes a device's frames.

    Args:
        counter_file: where the number of the next frame is kept, needed with a key.

    Raises:
        LinkError: the counter file cannot be used.
        OutputError: from `write`, it cannot be written.
    """

    def __init__(self, device: str, key: bytes | None, counter_file: Path | None) -> None:
        self._source = source_of(device)
        self._coder = FrameCoder()
        self._tagging: tuple[bytes, SendingCounter] | None = None
        if key is not None:
            if counter_file is None:
                raise ValueError("a key needs a counter file")
            self._tagging = one_way_key(key), SendingCounter(counter_file)

    def write(self, body: bytes) -> bytes:
        """Return the frame of a body as it goes on the line."""
        if self._tagging is None:
            return self._coder.encode(bytes([PLAIN]) + self._source + body)
        key, counter = self._tagging
        number = counter.next().to_bytes(COUNTER_BYTES, "little")
        core = bytes([KEYED]) + self._source + number + body
        return self._coder.encode(core + keys.tag(key, core))


class FrameReader:
    """Takes frames apart, and with a key only those that were made with it and are newer than all before.

    Args:
        folder: of the receiver; the numbers that were accepted are kept in it.

    Raises:
        LinkError: the file of these numbers is damaged.
    """

    def __init__(self, key: bytes | None, folder: Path) -> None:
        self._checking: tuple[bytes, SeenCounters] | None = None
        if key is not None:
            self._checking = one_way_key(key), SeenCounters(folder / COUNTERS)

    def read(self, frame: bytes) -> tuple[bytes, bytes] | Trouble:
        """Return source and body of a frame that came, or why it is not taken."""
        if frame[0] not in (PLAIN, KEYED):
            return Trouble("a frame is not one-way; is the sender started with --one-way?")
        source, at = frame[1 : 1 + SOURCE_BYTES], 1 + SOURCE_BYTES
        if self._checking is None:
            if frame[0] == KEYED:
                return Trouble("a one-way sender has a key and this receiver none; give --key-file")
            return source, frame[at:]
        if frame[0] == PLAIN:
            return Trouble("a one-way sender has no key and this receiver takes keyed frames only")
        key, counters = self._checking
        core, tag = frame[: -keys.TAG_BYTES], frame[-keys.TAG_BYTES :]
        if len(core) <= at + COUNTER_BYTES or not keys.is_tag(key, core, tag):
            return Trouble(
                "a one-way sender's key is not the one here, or the frame is forged; "
                "use the same key file at both ends"
            )
        if not counters.accept(source, int.from_bytes(core[at : at + COUNTER_BYTES], "little")):
            return Trouble(
                "a frame came again and is refused; if its device lost its counter file and its clock is wrong, "
                f"set the clock, or remove {COUNTERS} here"
            )
        return source, core[at + COUNTER_BYTES :]

    def save(self) -> None:
        """Bring the numbers that were accepted to the disk; OutputError if that fails."""
        if self._checking is not None:
            self._checking[1].save()
