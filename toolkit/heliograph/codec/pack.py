"""From latents to streams: a quality, or the finest level within a budget, with the network already run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.codec import container, levels
from heliograph.codec.codec import Codec
from heliograph.codec.coder import Symbols
from heliograph.codec.rate import Rate
from heliograph.errors import PictureError

MERGE_BELOW = 4096  # bytes; smaller streams keep all layers in one segment, which saves about 27 bytes
# Of RDOQ: bits that an error of one step, squared, counts as. With both shipped codecs 17 to 24 save the most within
# 0.3 % at every quality from 5 to 95; 12 and 34 save half a percent less (heliograph.bench.rdoq).
STRENGTH = 20
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
        strength: of rate-distortion optimised quantisation (RDOQ), see `Coder.rdoq`; 0 leaves it out and rounds with
            the entropy model's dead zone, which is faster.
        layered: a segment for each layer however small the stream, so that it can be thinned and its base sent
            first; else one segment below MERGE_BELOW.
    """

    def __init__(
        self,
        codec: Codec,
        latents: npt.NDArray[np.int8],
        width: int,
        height: int,
        *,
        slice_tiles: int = 0,
        strength: int = STRENGTH,
        layered: bool = False,
    ) -> None:
        self._merge_below = 0 if layered else MERGE_BELOW
        self._codec, self._coder, self._strength = codec, codec.coder, strength
        self._width, self._height = width, height
        side = slice_tiles * self._coder.model.tile
        self._layers = len(self._coder.model.layers)
        self._side = side if 0 < side < max(latents.shape[:2]) else 0
        self._parts = [np.ascontiguousarray(latents[s]) for s in self._header(0, 1).slices]

    def _header(self, level: int, parts: int) -> container.Header:
        return container.Header(self._codec.id, self._width, self._height, level, parts, self._side)

    def _rounding(self, level: int) -> int:
        """Return the rounding in 1/256 of a step: RDOQ starts from the nearest symbols."""
        if self._strength:
            return 128
        return int(self._coder.model.rounding[max(0, int(levels.to_quality(level)))])

    def _estimate(self, level: int) -> tuple[float, list[Symbols]]:
        """Return about how many bytes the stream of a level takes, without coding, and the symbols of its slices."""
        rounding = self._rounding(level)
        quantised = [self._coder.rdoq(part, level, rounding, self._strength) for part in self._parts]
        size = sum(sum(bits) for _, bits in quantised) / 8192
        is_merged = len(quantised) == 1 and size < self._merge_below
        segments = 1 if is_merged else self._layers * len(quantised)
        return size + _HEADER_BYTES + _SEGMENT_BYTES * segments, [symbols for symbols, _ in quantised]

    def at(self, level: int, *, layers: int | None = None) -> bytes:
        """Return the stream of a level, or of its first layers."""
        if self._strength:
            return self._code(self._estimate(level)[1], level, layers)
        rounding = self._rounding(level)
        symbols = [self._coder.quantise(part, level, rounding) for part in self._parts]
        return self._code(symbols, level, layers)

    def _code(self, symbols: list[Symbols], level: int, layers: int | None = None) -> bytes:
        """Return the stream of the symbols of every slice."""
        if layers is not None:
            stop = self._coder.model.layers[layers - 1]
            symbols = [np.where(np.arange(s.shape[-1]) < stop, s, 0).astype(np.int16) for s in symbols]
        parts = [self._coder.encode(s, level, merged=False) for s in symbols]
        if len(symbols) == 1 and sum(map(len, parts[0])) < self._merge_below:
            return container.pack(self._header(level, 1), self._coder.encode(symbols[0], level, merged=True))
        segments = [part[layer] for layer in range(self._layers) for part in parts]
        return container.pack(self._header(level, self._layers), segments)

    def pack(self, rate: Rate) -> Packed:
        """Return the stream of a quality, or the finest within a budget.

        Raises:
            PictureError: not even the coarsest stream fits the budget.
        """
        budget = rate.budget(self._width, self._height)
        if budget is not None:
            return self._within(budget)
        level = levels.from_quality(rate.quality or 0.0)
        return Packed(self.at(level), level)

    def _within(self, max_bytes: int) -> Packed:
        """Return the finest stream of at most so many bytes.

        Bytes grow with the level, nearly geometrically, by 3 % from one level to the next below quality 0 and by less
        above: a search on the logarithm of the estimates finds the level, encoding confirms it.

        Raises:
            PictureError: not even the coarsest stream fits.
        """
        level, symbols, estimates = self._search(max_bytes)
        trials = 0
        while level >= 0:
            data = self._code(symbols, level) if symbols else self.at(level)
            trials += 1
            if len(data) <= max_bytes:
                return Packed(data, level, trials, estimates)
            # The estimate was too low, by a level at least.
            level, symbols = level - max(1, int(_OCTAVE * math.log2(len(data) / max_bytes))), []
        for layers in range(self._layers - 1, 0, -1):
            data = self.at(0, layers=layers)
            trials += 1
            if len(data) <= max_bytes:
                return Packed(data, 0, trials, estimates)
        raise PictureError(
            f"a picture of {self._width}x{self._height} takes {len(data)} bytes at least, the budget is "
            f"{max_bytes}; raise it or scale the picture down"
        )

    def _search(self, max_bytes: int) -> tuple[int, list[Symbols], int]:
        """Return the finest level whose estimate fits, its symbols, and the number of estimates; level 0 if none does.

        The symbols are empty where none fits.
        """
        low, high = -1, levels.LEVELS  # fits, does not fit
        sizes: dict[int, float] = {}
        symbols: list[Symbols] = []
        level = levels.LEVEL_0 + 300
        while high - low > 1 and sizes.get(low, 0) < ENOUGH * max_bytes:
            sizes[level], quantised = self._estimate(level)
            if sizes[level] <= max_bytes:
                low, symbols = level, quantised
            else:
                high = level
            level = _next_level(sizes, low, high, max_bytes)
        return max(low, 0), symbols, len(sizes)


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
    return max(min(max(math.floor(guess), low + 1), high - 1), 0)
