"""Frames on a byte stream: COBS between zero bytes, with a CRC-32C inside (LINK.md, section 1). Sans-IO."""

from __future__ import annotations

import importlib
import struct
from dataclasses import dataclass
from typing import Any

from crc32c import crc32c

from heliograph.errors import LinkError
from heliograph.extras import install

DELIMITER = b"\0"
MAX_BODY = 2048  # bytes of a frame without its CRC
CRC_BYTES = 4
IDLE = 0.1  # seconds of silence after which noise may have come before a frame
MAX_ENCODED = MAX_BODY + CRC_BYTES + (MAX_BODY + CRC_BYTES) // 254 + 1
_CRC = struct.Struct("<I")


@dataclass(frozen=True)
class Corrupt:
    """Bytes between two delimiters that are no frame: why, and how many they were."""

    reason: str
    size: int


def _load_cobs() -> Any:
    try:
        return importlib.import_module("cobs.cobs")
    except ImportError as error:
        raise LinkError(f"the link needs the package cobs ({error}): {install('link')}") from error


class FrameCoder:
    """Encodes frames; one COBS implementation is loaded for all of them.

    Raises:
        LinkError: the package `cobs` is not installed.
    """

    def __init__(self) -> None:
        self._cobs = _load_cobs()

    def encode(self, body: bytes) -> bytes:
        """Return a frame with its closing delimiter; ValueError unless 1 to MAX_BODY bytes."""
        if not 0 < len(body) <= MAX_BODY:
            raise ValueError(f"a frame of {len(body)} bytes, expected 1 to {MAX_BODY}")
        encoded: bytes = self._cobs.encode(body + _CRC.pack(crc32c(body)))
        return encoded + DELIMITER

    def decode(self, encoded: bytes) -> bytes | Corrupt:
        """Return the body of a frame without its delimiter, or what is wrong with it."""
        if len(encoded) > MAX_ENCODED:
            return Corrupt("longer than a frame may be", len(encoded))
        try:
            whole: bytes = self._cobs.decode(encoded)
        except self._cobs.DecodeError:
            return Corrupt("not COBS", len(encoded))
        if not CRC_BYTES < len(whole) <= MAX_BODY + CRC_BYTES:
            return Corrupt("shorter than a frame must be", len(encoded))
        body = whole[:-CRC_BYTES]
        if crc32c(body) != _CRC.unpack_from(whole, len(body))[0]:
            return Corrupt("CRC-32C does not fit", len(encoded))
        return body


class FrameEncoder:
    """Gives frames for a line; one after a silence with a delimiter before it, which ends what noise began.

    Attributes:
        last: when a frame was given last.
    """

    def __init__(self, coder: FrameCoder) -> None:
        self._coder = coder
        self.last = float("-inf")

    def encode(self, body: bytes, now: float) -> bytes:
        """Return a frame as it goes on the line; ValueError as of `FrameCoder.encode`."""
        encoded = self._coder.encode(body)
        if now - self.last > IDLE:
            encoded = DELIMITER + encoded
        self.last = now
        return encoded


class FrameDecoder:
    """Takes any split of a byte stream and gives its frames; holds at most MAX_ENCODED + 1 bytes between calls."""

    def __init__(self, coder: FrameCoder) -> None:
        self._coder = coder
        self._rest = b""
        self._skipped = 0  # bytes of a run without delimiter that was too long to keep

    def feed(self, data: bytes) -> list[bytes | Corrupt]:
        """Return bodies of frames, and a status for every run of bytes that is none, in the order they came."""
        first, *more = data.split(DELIMITER)
        if not more:
            self._keep(first)
            return []
        frames: list[bytes | Corrupt] = []
        if self._skipped:
            frames.append(Corrupt("longer than a frame may be", self._skipped + len(first)))
        elif run := self._rest + first:
            frames.append(self._coder.decode(run))
        self._rest, self._skipped = b"", 0
        frames += [self._coder.decode(run) for run in more[:-1] if run]
        self._keep(more[-1])
        return frames

    def reset(self) -> None:
        """Forget the beginning of a frame: the line was cut."""
        self._rest, self._skipped = b"", 0

    def _keep(self, data: bytes) -> None:
        if self._skipped:
            self._skipped += len(data)
        elif len(self._rest) + len(data) > MAX_ENCODED:
            self._skipped, self._rest = len(self._rest) + len(data), b""
        else:
            self._rest += data
