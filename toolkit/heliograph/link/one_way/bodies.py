"""What one-way frames say, to the byte (LINK.md, section 6). Sans-IO; parsing gives None for all that is illegal."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.codec.varint import read_varint, varint
from heliograph.link.wire.messages import HASH_BYTES, Illegal
from heliograph.link.wire.names import MAX_STREAM, is_device, is_stream

Run = tuple[int, bytes]  # offset, bytes
STREAM_BYTES = 4  # of a stream's SHA-256, which stand for it in a piece
DESCRIPTION, PIECE = 0x01, 0x02


@dataclass(frozen=True)
class Description:
    """A stream of which pieces come; `head` are the first bytes of it, perhaps none."""

    name: str
    device: str
    size: int
    digest: bytes
    head: bytes

    def to_bytes(self) -> bytes:
        texts = b"".join(bytes([len(text)]) + text.encode("ascii") for text in (self.name, self.device))
        return bytes([DESCRIPTION]) + varint(self.size) + self.digest + texts + self.head


@dataclass(frozen=True)
class Piece:
    """Runs of the bytes of a stream whose SHA-256 begins with `stream`."""

    stream: bytes
    runs: tuple[Run, ...]

    def to_bytes(self) -> bytes:
        runs = b"".join(varint(offset) + varint(len(data)) + data for offset, data in self.runs)
        return bytes([PIECE]) + self.stream + runs


def parse(data: bytes) -> Description | Piece | None:
    """Return what a frame says, or None if the bytes say nothing."""
    try:
        if data[:1] == bytes([DESCRIPTION]):
            return _parse_description(data)
        if data[:1] == bytes([PIECE]):
            return Piece(data[1 : 1 + STREAM_BYTES], _parse_runs(data, 1 + STREAM_BYTES))
    except ValueError:  # Illegal, or what is no number and no ASCII
        pass
    return None


def _parse_description(data: bytes) -> Description:
    size, at = read_varint(data, 1)
    digest, at = data[at : at + HASH_BYTES], at + HASH_BYTES
    texts = []
    for _ in range(2):
        if at >= len(data):
            raise Illegal("cut")
        end = at + 1 + data[at]
        texts.append(data[at + 1 : end].decode("ascii"))
        at = end
    name, device = texts
    if at > len(data) or not is_stream(name) or not is_device(device):
        raise Illegal("names")
    if not 0 < size <= MAX_STREAM or len(data) - at > size:
        raise Illegal("size")
    return Description(name, device, size, digest, data[at:])


def _parse_runs(data: bytes, at: int) -> tuple[Run, ...]:
    runs: list[Run] = []
    while at < len(data):
        offset, at = read_varint(data, at)
        length, at = read_varint(data, at)
        if not length or at + length > len(data):
            raise Illegal("runs")
        runs.append((offset, data[at : at + length]))
        at += length
    if not runs:
        raise Illegal("runs")
    return tuple(runs)
