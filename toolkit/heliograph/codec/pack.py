"""From latents to streams: a quality, or the finest level within a budget, with the network already run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from heliograph.codec import container, levels
from heliograph.codec.codec import Codec
from heliograph.codec.coder import Coded, Reference
from heliograph.codec.rate import Rate
from heliograph.codec.stream import Decoded
from heliograph.codec.values import ReferencePicture, Values, picture_id, to_int8
from heliograph.errors import PictureError

MERGE_BELOW = 4096  # bytes; smaller streams keep all layers in one segment, which saves about 27 bytes
# Of RDOQ: bits that an error of one step, squared, counts as. 17 and 20 save the most with `accelerator`, 14 a fifth of
# a percent less (heliograph.bench.rdoq).
STRENGTH = 20
ENOUGH = 0.985  # share of a budget that ends the search
_SEGMENT_BYTES = 4 + 1 + 2 + 3  # CRC, lane byte, what the states waste, length
_HEADER_BYTES, _REFERENCE_BYTES = 22, 10
_OCTAVE = 150.0  # levels in which the bytes about double: where the search starts from


@dataclass(frozen=True)
class Packed:
    """A stream and how it was found: `trials` encodings after `estimates` estimates from the tables.

    `values` int16 [h, w, C] in the encoder's order are what the stream decodes to.
    """

    data: bytes
    level: int
    values: Values = field(repr=False)
    trials: int = 1
    estimates: int = 0

    @property
    def quality(self) -> float:
        """The quality in eighths; negative below quality 0."""
        return levels.to_quality(self.level)

    def as_reference(self) -> ReferencePicture:
        """Return the picture for others to refer to."""
        header = container.open(self.data).header
        name = picture_id(header.codec_id, header.width, header.height, self.values)
        return ReferencePicture(name, self.values, self.level, header.depth)


class Packer:
    """The latents of a picture, int8 [ceil(H/16), ceil(W/16), C], ready to be packed at any level.

    Args:
        slice_tiles: side of a slice in tiles, 0 for one slice.
        strength: of rate-distortion optimised quantisation (RDOQ), see `Coder.encode`; 0 leaves it out and rounds with
            the entropy model's dead zone, which is faster.
        layered: a segment for each layer however small the stream, so that it can be thinned and its base sent
            first; else one segment below MERGE_BELOW.
        reference: a picture of equal size that the other end has, which the stream then refers to; of a codec whose
            entropy model has contexts for it.
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
        reference: ReferencePicture | None = None,
    ) -> None:
        self._codec, self._coder, self._strength = codec, codec.coder, strength
        self._width, self._height, self._reference = width, height, reference
        model = self._coder.model
        side = slice_tiles * model.tile
        self._layers, self._shape = len(model.layers), latents.shape
        self._side = side if 0 < side < max(latents.shape[:2]) else 0
        places = self._header(0, 1).slices
        self._merge_below = 0 if layered or len(places) > 1 else MERGE_BELOW
        self._places = places
        self._parts = [np.ascontiguousarray(latents[place]) for place in places]
        self._references: list[Reference | None] = [None] * len(places)
        if reference is not None:
            ordered = reference.values[..., model.order]
            self._references = [
                Reference(np.ascontiguousarray(ordered[place]), reference.level) for place in places
            ]

    def _header(self, level: int, parts: int) -> container.Header:
        there, referred = self._reference, None
        if there is not None:
            referred = container.Referred(there.picture_id, there.level, there.depth + 1)
        return container.Header(self._codec.id, self._width, self._height, level, parts, self._side, referred)

    def _encode(self, level: int, *, merge_below: int, only_estimate: bool = False) -> list[Coded]:
        """Return what the slices are at a level. RDOQ starts from the nearest residuals."""
        rounding = 128 if self._strength else int(self._coder.model.rounding[levels.row_of(level)])
        return [
            self._coder.encode(
                part,
                level,
                rounding=rounding,
                strength=self._strength,
                merge_below=merge_below,
                reference=reference,
                only_estimate=only_estimate,
            )
            for part, reference in zip(self._parts, self._references, strict=True)
        ]

    def estimate(self, level: int) -> float:
        """Return about how many bytes the stream of a level takes, without coding."""
        coded = self._encode(level, merge_below=0, only_estimate=True)
        size = sum(sum(one.bits) for one in coded) / 8192
        segments = 1 if size < self._merge_below else self._layers * len(coded)
        header = _HEADER_BYTES + (_REFERENCE_BYTES if self._reference else 0)
        return size + header + _SEGMENT_BYTES * segments

    def at(self, level: int) -> bytes:
        """Return the stream of a level."""
        return self._pack_at(level).data

    def _pack_at(self, level: int) -> Packed:
        coded = self._encode(level, merge_below=self._merge_below)
        parts = len(coded[0].segments)
        segments = [one.segments[part] for part in range(parts) for one in coded]
        data = container.pack(self._header(level, parts), segments)
        return Packed(data, level, self._join([one.values for one in coded]))

    def _join(self, values: list[Values]) -> Values:
        """Return the values of all slices, in coding order, as those of the picture in the encoder's order."""
        whole = np.empty(self._shape, np.int16)
        for place, of_slice in zip(self._places, values, strict=True):
            whole[place] = of_slice
        return self._coder.model.restore_order(whole)

    def first_layers(self, layers: int) -> Packed:
        """Return the smallest stream: the first layers at level 0."""
        coded = self._encode(0, merge_below=0)
        kept = [one.segments[:layers] + [b""] * (self._layers - layers) for one in coded]
        segments = [one[layer] for layer in range(self._layers) for one in kept]
        data = container.pack(self._header(0, self._layers), segments)
        values = [
            self._coder.decode(
                one, part.shape[0], part.shape[1], 0, merged=self._layers == 1, reference=reference
            ).values
            for one, part, reference in zip(kept, self._parts, self._references, strict=True)
        ]
        return Packed(data, 0, self._join(values))

    def pack(self, rate: Rate) -> Packed:
        """Return the stream of a quality, or the finest within a budget.

        Raises:
            PictureError: not even the coarsest stream fits the budget.
        """
        budget = rate.budget(self._width, self._height)
        if budget is not None:
            return self._within(budget)
        return self._pack_at(levels.from_quality(rate.quality or 0.0))

    def _within(self, max_bytes: int) -> Packed:
        """Return the finest stream of at most so many bytes.

        Bytes grow with the level, nearly geometrically, by 3 % from one level to the next below quality 0 and by less
        above: a search on the logarithm of the estimates finds the level, encoding confirms it.

        Raises:
            PictureError: not even the coarsest stream fits.
        """
        level, estimates = self._search(max_bytes)
        trials = 0
        while level >= 0:
            packed = self._pack_at(level)
            trials += 1
            if len(packed.data) <= max_bytes:
                return replace(packed, trials=trials, estimates=estimates)
            # The estimate was too low, by a level at least.
            level -= max(1, int(_OCTAVE * math.log2(len(packed.data) / max_bytes)))
        for layers in range(self._layers - 1, 0, -1):
            packed = self.first_layers(layers)
            trials += 1
            if len(packed.data) <= max_bytes:
                return replace(packed, trials=trials, estimates=estimates)
        raise PictureError(
            f"a picture of {self._width}x{self._height} takes {len(packed.data)} bytes at least, the budget is "
            f"{max_bytes}; raise it or scale the picture down"
        )

    def _search(self, max_bytes: int) -> tuple[int, int]:
        """Return the finest level whose estimate fits, and the number of estimates; level 0 if none does."""
        low, high = -1, levels.LEVELS  # fits, does not fit
        sizes: dict[int, float] = {}
        level = levels.LEVEL_0 + 300
        while high - low > 1 and sizes.get(low, 0) < ENOUGH * max_bytes:
            sizes[level] = self.estimate(level)
            if sizes[level] <= max_bytes:
                low = level
            else:
                high = level
            level = _next_level(sizes, low, high, max_bytes)
        return max(low, 0), len(sizes)


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


def alone_bytes(decoded: Decoded) -> float:
    """Return about how many bytes a picture would take at its level if it referred to none."""
    latents = to_int8(decoded.values)
    return Packer(decoded.codec, latents, decoded.width, decoded.height).estimate(decoded.level)
