"""From latents to streams: a quality, or the finest level within a budget, with the network already run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.codec import format as container
from heliograph.codec import levels
from heliograph.codec.manifest import Codec
from heliograph.codec.slices import Symbols
from heliograph.errors import PictureError

MERGE_BELOW = 4096  # bytes; smaller streams keep all layers in one segment, which saves about 27 bytes
STRENGTH = 8  # bits that an error of one step, squared, counts as: 6 / ln 2 at high rates
ENOUGH = 0.985  # share of a budget that ends the search
_SEGMENT_BYTES = 4 + 1 + 2 + 3  # CRC, lane byte, what the states waste, length
_HEADER_BYTES = 22
_OCTAVE = 150.0  # levels in which the bytes about double: where the search starts from


@dataclass(frozen=True)
class Packed:
    """A stream and how it was found: `trials` encodings after `estimates` estimates from the tables."""

    data: bytes
    level: int
    trials: int = 1
    estimates: int = 0

    @property
    def quality(self) -> float:
        """The quality in eighths; negative below quality 0."""
        return levels.to_quality(self.level)


class Packer:
    """The latents of a picture, int8 [ceil(H/16), ceil(W/16), C], ready to be packed at any level.

    Args:
        slice_tiles: side of a slice in tiles, 0 for one slice.
        refine: weigh every symbol's bits against its error, instead of the dead zone of the entropy model.
    """

    def __init__(
        self,
        codec: Codec,
        latents: npt.NDArray[np.int8],
        width: int,
        height: int,
        *,
        slice_tiles: int = 0,
        refine: bool = False,
    ) -> None:
        self._codec, self._coder, self._refine = codec, codec.coder, refine
        self._width, self._height = width, height
        side = slice_tiles * self._coder.model.tile
        self._layers = len(self._coder.model.layers)
        self._side = side if 0 < side < max(latents.shape[:2]) else 0
        self._parts = [np.ascontiguousarray(latents[s]) for s in self._header(0, 1).slices]

    def _header(self, level: int, parts: int) -> container.Header:
        return container.Header(self._codec.id, self._width, self._height, level, parts, self._side)

    def _rounding(self, level: int) -> int:
        return int(self._coder.model.rounding[max(0, int(levels.to_quality(level)))])

    def _quantised(self, level: int) -> list[Symbols]:
        """Return the symbols of every slice."""
        return [self._coder.quantise(part, level, self._rounding(level)) for part in self._parts]

    def _refined(self, level: int) -> tuple[list[Symbols], list[float]]:
        """Return the symbols of every slice, refined if that is wished, and about how many bytes each takes."""
        rounding, strength = (128, STRENGTH) if self._refine else (self._rounding(level), 0)
        found = [self._coder.refine(part, level, rounding, strength) for part in self._parts]
        return [symbols for symbols, _ in found], [sum(bits) / 8192 for _, bits in found]

    def estimate(self, level: int) -> float:
        """Return about how many bytes the stream of a level takes, without coding it."""
        sizes = self._refined(level)[1]
        is_merged = len(sizes) == 1 and sizes[0] < MERGE_BELOW
        segments = 1 if is_merged else self._layers * len(sizes)
        return sum(sizes) + _HEADER_BYTES + _SEGMENT_BYTES * segments

    def at(self, level: int, *, layers: int | None = None) -> bytes:
        """Return the stream of a level; with `layers`, only of the first ones."""
        symbols = self._refined(level)[0] if self._refine else self._quantised(level)
        if layers is not None:
            stop = self._coder.model.layers[layers - 1]
            symbols = [np.where(np.arange(s.shape[-1]) < stop, s, 0).astype(np.int16) for s in symbols]
        parts = [self._coder.encode(s, level, merged=False) for s in symbols]
        if len(symbols) == 1 and sum(map(len, parts[0])) < MERGE_BELOW:
            return container.pack(self._header(level, 1), self._coder.encode(symbols[0], level, merged=True))
        segments = [part[layer] for layer in range(self._layers) for part in parts]
        return container.pack(self._header(level, self._layers), segments)

    def within(self, max_bytes: int) -> Packed:
        """Return the finest stream of at most so many bytes.

        Bytes grow with the level, nearly geometrically: a search on the logarithm of the estimates finds the
        level, encoding confirms it.

        Raises:
            PictureError: not even the coarsest stream fits.
        """
        low, high = -1, levels.LEVELS  # fits, does not fit
        known: dict[int, float] = {}
        level = levels.LEVEL_0 + 300
        while True:
            known[level] = size = self.estimate(level)
            if size <= max_bytes:
                low = max(low, level)
            else:
                high = min(high, level)
            if high - low == 1 or (low in known and known[low] >= ENOUGH * max_bytes):
                break
            level = _next_level(known, low, high, max_bytes)
        trials, level = 0, max(low, 0)
        best: tuple[int, bytes] | None = None
        while 0 <= level < levels.LEVELS:
            data = self.at(level)
            trials += 1
            if len(data) > max_bytes:
                if best is not None:
                    break
                level -= max(1, int(_OCTAVE * math.log2(len(data) / max_bytes)))
                continue
            best = level, data
            # Enough, unless the estimate was too high by more than a level.
            step = int(_OCTAVE * math.log2(max_bytes / len(data)) / 2)
            if len(data) >= 0.975 * max_bytes or step < 1:
                break
            level = min(level + step, levels.LEVELS - 1) if level < levels.LEVELS - 1 else levels.LEVELS
        if best is not None:
            return Packed(best[1], best[0], trials, len(known))
        for layers in range(self._layers - 1, 0, -1):
            data = self.at(0, layers=layers)
            trials += 1
            if len(data) <= max_bytes:
                return Packed(data, 0, trials, len(known))
        raise PictureError(
            f"a picture of {self._width}x{self._height} takes {len(data)} bytes at least, the budget is "
            f"{max_bytes}; raise it or scale the picture down"
        )


def _next_level(known: dict[int, float], low: int, high: int, target: float) -> int:
    """Return the level to try next, strictly between low and high."""
    aim = math.log2(target * (1 + ENOUGH) / 2)
    if len(known) > 4:  # the curve is bent: halve the rest, so that the search ends after ten more at most
        guess = (low + high) / 2
    elif low in known and high in known:
        below, above = math.log2(known[low]), math.log2(known[high])
        guess = low + (high - low) * (aim - below) / max(above - below, 1e-9)
    else:
        start = low if low in known else high
        guess = start + _OCTAVE * 1.2 * (aim - math.log2(known[start]))
    return min(max(math.floor(guess), low + 1), high - 1)


def pack_latents(
    codec: Codec,
    latents: npt.NDArray[np.int8],
    width: int,
    height: int,
    quality: float,
    *,
    slice_tiles: int = 0,
) -> bytes:
    """Return the stream of latents already computed: any quality, 0 to 100, without an inference."""
    packer = Packer(codec, latents, width, height, slice_tiles=slice_tiles)
    return packer.at(levels.from_quality(quality))


def pack_within(
    codec: Codec,
    latents: npt.NDArray[np.int8],
    width: int,
    height: int,
    *,
    max_bytes: int | None = None,
    bpp: float | None = None,
    slice_tiles: int = 0,
) -> Packed:
    """Return the finest stream within a budget of bytes, or of bits per pixel; see `Packer.within`."""
    if (max_bytes is None) == (bpp is None):
        raise ValueError("give one of max_bytes and bpp")
    budget = max_bytes if max_bytes is not None else int((bpp or 0.0) * width * height / 8)
    return Packer(codec, latents, width, height, slice_tiles=slice_tiles).within(budget)
