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
STRENGTH = 20  # bits that an error of one step, squared, counts as; 16 to 24 measure alike
ENOUGH = 0.985  # share of a budget that ends the search
_SEGMENT_BYTES = 4 + 1 + 2 + 3  # CRC, lane byte, what the states waste, length
_HEADER_BYTES = 22
_LESS = (1, 3, 5)  # 1/256 of a step each; 5 less rounding saves about the 3 % between two coarse levels
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
        refine: bool = False,
        layered: bool = False,
    ) -> None:
        self._merge_below = 0 if layered else MERGE_BELOW
        self._codec, self._coder, self._refine = codec, codec.coder, refine
        self._width, self._height = width, height
        side = slice_tiles * self._coder.model.tile
        self._layers = len(self._coder.model.layers)
        self._side = side if 0 < side < max(latents.shape[:2]) else 0
        self._parts = [np.ascontiguousarray(latents[s]) for s in self._header(0, 1).slices]

    def _header(self, level: int, parts: int) -> container.Header:
        return container.Header(self._codec.id, self._width, self._height, level, parts, self._side)

    def _rounding(self, level: int, less: int) -> int:
        if self._refine:
            return 128 - less
        return max(0, int(self._coder.model.rounding[max(0, int(levels.to_quality(level)))]) - less)

    def _refined(self, level: int, less: int) -> tuple[list[Symbols], list[float]]:
        """Return the symbols of every slice, refined if that is wished, and about how many bytes each takes."""
        rounding, strength = self._rounding(level, less), STRENGTH if self._refine else 0
        found = [self._coder.rdoq(part, level, rounding, strength) for part in self._parts]
        return [symbols for symbols, _ in found], [sum(bits) / 8192 for _, bits in found]

    def estimate(self, level: int, less: int = 0) -> float:
        """Return about how many bytes `at` gives, without coding."""
        sizes = self._refined(level, less)[1]
        is_merged = len(sizes) == 1 and sizes[0] < self._merge_below
        segments = 1 if is_merged else self._layers * len(sizes)
        return sum(sizes) + _HEADER_BYTES + _SEGMENT_BYTES * segments

    def at(self, level: int, less: int = 0, *, layers: int | None = None) -> bytes:
        """Return the stream of a level; with `less`, rounded by so many 1/256 step less; or of its first layers."""
        if self._refine:
            symbols = self._refined(level, less)[0]
        else:
            rounding = self._rounding(level, less)
            symbols = [self._coder.quantise(part, level, rounding) for part in self._parts]
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

        Bytes grow with the level, nearly geometrically: a search on the logarithm of the estimates finds the
        level, encoding confirms it. Below quality 0 levels lie 3 % apart; there a little less rounding of the next
        finer one goes between.

        Raises:
            PictureError: not even the coarsest stream fits.
        """
        known: dict[tuple[int, int], float] = {}
        level, less = self._search(max_bytes, known)
        trials = 0
        while level >= 0:
            data = self.at(level, less)
            trials += 1
            if len(data) <= max_bytes:
                return Packed(data, level, trials, len(known))
            # The estimate was too low: by a level at least, or it is the rounding that goes.
            if not less:
                level -= max(1, int(_OCTAVE * math.log2(len(data) / max_bytes)))
            else:
                level, less = level - 1, 0
        for layers in range(self._layers - 1, 0, -1):
            data = self.at(0, layers=layers)
            trials += 1
            if len(data) <= max_bytes:
                return Packed(data, 0, trials, len(known))
        raise PictureError(
            f"a picture of {self._width}x{self._height} takes {len(data)} bytes at least, the budget is "
            f"{max_bytes}; raise it or scale the picture down"
        )

    def _search(self, max_bytes: int, known: dict[tuple[int, int], float]) -> tuple[int, int]:
        """Return the finest level, and how much less to round there, whose estimate fits; level 0 if none does."""
        low, high = -1, levels.LEVELS  # fits, does not fit
        sizes: dict[int, float] = {}
        level = levels.LEVEL_0 + 300
        while high - low > 1 and sizes.get(low, 0) < ENOUGH * max_bytes:
            sizes[level] = known[level, 0] = self.estimate(level)
            low, high = (level, high) if sizes[level] <= max_bytes else (low, level)
            level = _next_level(sizes, low, high, max_bytes)
        if low < levels.LEVEL_0 and sizes.get(low, 0) < ENOUGH * max_bytes:
            for less in _LESS:
                known[low + 1, less] = size = self.estimate(low + 1, less)
                if sizes.get(low, 0) < size <= max_bytes:
                    return low + 1, less
        return max(low, 0), 0


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
