"""How a stream is cut into one-way frames, so that a lost frame is a blemish (LINK.md, section 6). Sans-IO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from heliograph.codec import container
from heliograph.codec.varint import read_varint, varint
from heliograph.errors import StreamError
from heliograph.link.wire.messages import Illegal

Run = tuple[int, bytes]  # offset, bytes
PAYLOADS = (256, 512, 1024)
MAX_HEAD = 512  # bytes of a stream's header that go with its description
_RUN_BYTES = 5  # offset and length
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Spread:
    """A stream in frames: `head` goes with the description, `base` and `rest` are the runs of each frame."""

    head: bytes
    header: list[list[Run]]
    base: list[list[Run]]
    rest: list[list[Run]]


def spread(data: bytes) -> Spread:
    """Cut a stream along its segments: few in a frame, and neighbours in different ones.

    A segment that fits a frame is not cut; a frame has segments of distant slices; frames of one layer lead
    over the picture in steps of the golden ratio, so that a burst of losses hits places apart.
    """
    try:
        stream = container.open(data)
        stream.check_whole()
    except StreamError:
        pieces = _cut(data, 0, len(data), PAYLOADS[-1])
        return Spread(b"", [], [[piece] for piece in pieces], [])
    slices = stream.header.slice_count
    layers = [
        [(at, length + container.CRC_BYTES) for at, length in stream.segments[n : n + slices] if length]
        for n in range(0, len(stream.segments), slices)
    ]
    sizes = sorted(size for layer in layers for size in [s for _, s in layer]) or [0]
    typical = sizes[len(sizes) * 3 // 4]
    payload = next((p for p in PAYLOADS if p >= typical + _RUN_BYTES), PAYLOADS[-1])
    head = min(stream.size, MAX_HEAD)
    header = [[piece] for piece in _cut(data, head, stream.size, payload)]
    frames = [_frames(data, _apart(layer), payload) for layer in layers]
    return Spread(data[:head], header, frames[0], [frame for layer in frames[1:] for frame in layer])


def _apart(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    order = sorted(range(len(spans)), key=lambda n: n * _GOLDEN % 1)
    return [spans[n] for n in order]


def _cut(data: bytes, start: int, stop: int, payload: int) -> list[Run]:
    """Return equal runs of at most `payload` bytes."""
    if start >= stop:
        return []
    count = -(-(stop - start) // (payload - _RUN_BYTES))
    bounds = [start + (stop - start) * n // count for n in range(count + 1)]
    return [(a, data[a:b]) for a, b in pairwise(bounds)]


def _frames(data: bytes, spans: list[tuple[int, int]], payload: int) -> list[list[Run]]:
    frames: list[list[Run]] = []
    open_frame: list[Run] = []
    filled = 0
    for at, size in spans:
        runs = _cut(data, at, at + size, payload)
        if len(runs) > 1:
            frames += [[run] for run in runs]
            continue
        if filled + size + _RUN_BYTES > payload and open_frame:
            frames.append(open_frame)
            open_frame, filled = [], 0
        open_frame += runs
        filled += size + _RUN_BYTES
    return [*frames, open_frame] if open_frame else frames


def pack_runs(runs: Sequence[Run]) -> bytes:
    """Return runs as they stand in a frame."""
    return b"".join(varint(offset) + varint(len(data)) + data for offset, data in runs)


def parse_runs(data: bytes) -> list[Run]:
    """Return the runs of a frame; ValueError for bytes that are none."""
    runs, at = [], 0
    while at < len(data):
        offset, at = read_varint(data, at)
        length, at = read_varint(data, at)
        if not length or at + length > len(data):
            raise Illegal("runs")
        runs.append((offset, data[at : at + length]))
        at += length
    if not runs:
        raise Illegal("runs")
    return runs
