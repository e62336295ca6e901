"""How a stream is cut into pieces that go one way, so that a lost one is a blemish (LINK.md, section 6). Sans-IO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from heliograph.codec import container
from heliograph.errors import StreamError
from heliograph.link.one_way.bodies import Run

PAYLOADS = (256, 512, 1024)
MAX_HEAD = 512  # bytes of a stream's header that go with its description
_RUN_BYTES = 5  # offset and length
_GOLDEN = 0.6180339887498949

Runs = tuple[Run, ...]  # of a piece


@dataclass(frozen=True)
class Cuts:
    """A stream in pieces: `head` goes with the description, then come the rest of the header, base layer and others."""

    head: bytes
    header: list[Runs]
    base: list[Runs]
    rest: list[Runs]


def cut_stream(data: bytes) -> Cuts:
    """Cut a stream along its segments: few in a piece, and neighbours in different ones.

    A segment that fits a piece is not cut; a piece has segments of distant slices; pieces of one layer lead
    over the picture in steps of the golden ratio, so that a burst of losses hits places apart.
    """
    try:
        stream = container.open(data)
        stream.check_whole()
    except StreamError:
        runs = _cut(data, 0, len(data), PAYLOADS[-1])
        return Cuts(b"", [], [(run,) for run in runs], [])
    slices = stream.header.slice_count
    layers = [
        [(at, length + container.CRC_BYTES) for at, length in stream.segments[n : n + slices] if length]
        for n in range(0, len(stream.segments), slices)
    ]
    sizes = sorted(size for layer in layers for size in [s for _, s in layer]) or [0]
    typical = sizes[len(sizes) * 3 // 4]
    payload = next((p for p in PAYLOADS if p >= typical + _RUN_BYTES), PAYLOADS[-1])
    head = min(stream.size, MAX_HEAD)
    header: list[Runs] = [(run,) for run in _cut(data, head, stream.size, payload)]
    base, *others = [_pieces(data, _apart(layer), payload) for layer in layers]
    return Cuts(data[:head], header, base, [piece for pieces in others for piece in pieces])


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


def _pieces(data: bytes, spans: list[tuple[int, int]], payload: int) -> list[Runs]:
    pieces: list[Runs] = []
    piece: Runs = ()
    filled = 0
    for at, size in spans:
        runs = _cut(data, at, at + size, payload)
        if len(runs) > 1:
            pieces += [(run,) for run in runs]
            continue
        if filled + size + _RUN_BYTES > payload and piece:
            pieces.append(piece)
            piece, filled = (), 0
        piece += tuple(runs)
        filled += size + _RUN_BYTES
    return [*pieces, piece] if piece else pieces
