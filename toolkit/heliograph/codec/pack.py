"""From latents to streams: a quality, or the finest level within a budget, with the network already run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from heliograph.codec import container, levels, tiles
from heliograph.codec.codec import Codec
from heliograph.codec.distortion import STRENGTH, squared_step
from heliograph.codec.rate import Rate
from heliograph.codec.slices import CodedSlices, Slices
from heliograph.codec.stream import Decoded
from heliograph.codec.values import ReferencePicture, Values, picture_id
from heliograph.errors import PictureError

MERGE_BELOW = 4096  # bytes; smaller streams keep all layers in one segment, which saves about 27 bytes
SHORT_BELOW = (
    1024  # bytes; smaller streams have the short form, which saves six: nothing of them is of use alone
)
SHORT_LAYERED = 256  # the same where a base shall go first
ENOUGH = 0.985  # share of a budget that ends the search
_SEGMENT_BYTES = 4 + 1 + 2 + 3  # CRC, lane byte, what the states waste, length
_HEADER_BYTES, _REFERENCE_BYTES, _SHORT_BYTES = 22, 10, 2
_NEAR, _AIM = 0.4, 0.99  # octaves from a known size to the budget that need no estimate; the share to aim at
_SHARE, _MOST_TRIALS = 0.97, 4  # of a budget that needs no other try; tries of those that fit
_OCTAVE, _LOW_OCTAVE = 165.0, 26.0  # levels in which the bytes about double from quality 0 on, and below it


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
        name = picture_id(header.codec_id, header.width, header.height, self.values, header.scale)
        return ReferencePicture(name, self.values, self.level, header.depth, header.scale)


@dataclass(frozen=True)
class Trial:
    """What a level would give: about how many bytes, and the mean squared error of the quantisation in pixels."""

    level: int
    bytes: float
    mse: float


class Packer:
    """The latents of a picture, int16 [ceil(h/16), ceil(w/16), C] of the coded size, ready to be packed at any level.

    Args:
        latents: in sixteenths of a unit, in the encoder's order.
        width, height: of the picture, whatever its scale.
        scale: the latents are those of the picture made smaller, see `tiles.scaled`.
        slice_tiles: side of a slice in tiles, 0 for one slice.
        strength: of rate-distortion optimised quantisation (RDOQ), see `Coder.encode`; 0 leaves it out and rounds with
            the entropy model's dead zone, which is faster.
        layered: a segment for each layer, so that the stream can be thinned and its base sent first, unless it is
            smaller than SHORT_LAYERED; else one segment below MERGE_BELOW, and the short form below SHORT_BELOW.
        base: whether a layered stream without a reference begins with a base of about a twelfth of the bytes, see
            `Slices`; that costs 7 to 11 % of the bytes, and as much time again.
        whole: no short form, so that a part of a stream is always of use.
        reference: a picture of equal size that the other end has, which the stream then refers to; of a codec whose
            entropy model has contexts for it.
    """

    def __init__(
        self,
        codec: Codec,
        latents: Values,
        width: int,
        height: int,
        *,
        slice_tiles: int = 0,
        strength: int = STRENGTH,
        layered: bool = False,
        base: bool = False,
        whole: bool = False,
        reference: ReferencePicture | None = None,
        scale: int = 0,
    ) -> None:
        self._codec, self._coder, self._strength = codec, codec.coder, strength
        self._width, self._height, self._reference, self.scale = width, height, reference, scale
        model = self._coder.model
        side = slice_tiles * model.tile
        self._layers, self._shape = len(model.layers), latents.shape
        self._side = side if 0 < side < max(latents.shape[:2]) else 0
        places = self._header(0, 1).slices
        self._merge_below = 0 if layered or len(places) > 1 else MERGE_BELOW
        self._short_below = 0 if whole or len(places) > 1 else SHORT_LAYERED if layered else SHORT_BELOW
        if latents.shape[0] * latents.shape[1] > container.MAX_SHORT_POSITIONS:
            self._short_below = 0
        self._known: dict[int, float] = {}  # estimated bytes by level
        self._places = places
        self._slices = Slices(
            self._coder, latents, places, strength=strength, refined=layered and base, reference=reference
        )

    def _header(self, level: int, parts: int) -> container.Header:
        there, referred = self._reference, None
        if there is not None:
            referred = container.Referred(there.picture_id, there.level, there.depth + 1)
        return container.Header(
            self._codec.id, self._width, self._height, level, parts, self._side, referred, self.scale
        )

    def estimate(self, level: int) -> float:
        """Return about how many bytes the stream of a level takes, without coding."""
        if level not in self._known:
            self._known[level] = self._size(self._slices.code(level, only_estimate=True))
        return self._known[level]

    def _size(self, coded: CodedSlices) -> float:
        size, slices, is_refined = coded.bytes, len(coded.slices), coded.base_level is not None
        header = _HEADER_BYTES + (_REFERENCE_BYTES if self._reference else 0) + 2 * is_refined
        if size < self._short_below and not is_refined:
            return size + header + _SHORT_BYTES
        segments = 1 if size < self._merge_below else self._layers * slices
        return size + header + _SEGMENT_BYTES * (segments + slices * is_refined)

    def try_level(self, level: int) -> Trial:
        """Return what a level would give, without coding."""
        coded = self._slices.code(level, only_estimate=True)
        self._known[level] = self._size(coded)
        model, error = self._coder.model, 0.0
        inverse = np.float32(1) / levels.steps_at(model.steps, level).astype(np.float32)
        for part, one in zip(self._slices.latents, coded.slices, strict=True):
            apart = (part[..., model.order] - one.values) * inverse
            error += float(np.vdot(apart, apart))
        width, height = tiles.scaled(self._width, self.scale), tiles.scaled(self._height, self.scale)
        return Trial(level, self._known[level], squared_step(level) * error / (width * height))

    def at(self, level: int) -> bytes:
        """Return the stream of a level."""
        return self._pack_at(level).data

    def _pack_at(self, level: int) -> Packed:
        coded = self._slices.code(level, merge_below=self._merge_below, short_below=self._short_below)
        parts = len(coded.slices[0].segments)
        segments = [one.segments[part] for part in range(parts) for one in coded.slices]
        header = replace(
            self._header(level, parts), is_short=coded.slices[0].is_short, base_level=coded.base_level
        )
        values = self._join([one.values for one in coded.slices])
        return Packed(container.pack(header, segments), level, values)

    def _join(self, values: list[Values]) -> Values:
        """Return the values of all slices, in coding order, as those of the picture in the encoder's order."""
        whole = np.empty(self._shape, np.int16)
        for place, of_slice in zip(self._places, values, strict=True):
            whole[place] = of_slice
        return self._coder.model.restore_order(whole)

    def first_layers(self, layers: int) -> Packed:
        """Return the smallest stream: the first layers at level 0."""
        coded = self._slices.code(0).slices
        kept = [one.segments[:layers] + [b""] * (self._layers - layers) for one in coded]
        segments = [one[layer] for layer in range(self._layers) for one in kept]
        data = container.pack(self._header(0, self._layers), segments)
        values = [
            self._coder.decode(
                one, part.shape[0], part.shape[1], 0, merged=self._layers == 1, reference=reference
            ).values
            for one, part, reference in zip(kept, self._slices.latents, self._slices.references, strict=True)
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
        trials, high, too_many = 0, levels.LEVELS, 0  # the finest that was too large, and its bytes
        fitting: Packed | None = None
        while level >= 0:
            packed = self._pack_at(level)
            trials += 1
            size = len(packed.data)
            if size <= max_bytes:
                fitting = packed
                if size >= _SHARE * max_bytes:
                    break
                level = max(level + 1, moved(level, math.log2(_AIM * max_bytes / size)))
            else:
                high, too_many = level, size
                level = min(level - 1, moved(level, math.log2(_AIM * max_bytes / size)))
            if fitting is not None:
                low, few = fitting.level, len(fitting.data)
                if too_many:
                    share = math.log(_AIM * max_bytes / few) / math.log(too_many / few)
                    level = low + math.floor(share * (high - low))
                level = max(min(level, high - 1), low + 1)
                if level >= high or trials == _MOST_TRIALS:
                    break
        if fitting is not None:
            return replace(fitting, trials=trials, estimates=estimates)
        for layers in range(self._layers - 1, 0, -1):
            packed = self.first_layers(layers)
            trials += 1
            if len(packed.data) <= max_bytes:
                return replace(packed, trials=trials, estimates=estimates)
        way = "" if self.scale else ", or let the picture be made smaller"
        raise PictureError(
            f"a picture of {self._width}x{self._height} takes {len(packed.data)} bytes at least, the budget is "
            f"{max_bytes}; raise it{way}"
        )

    def _search(self, max_bytes: int) -> tuple[int, int]:
        """Return the finest level whose estimate fits, and the number of estimates; level 0 if none does."""
        before = len(self._known)
        if self._known:  # as often as not an encoding tells as much as another estimate
            near, size = min(self._known.items(), key=lambda item: abs(math.log2(max_bytes / item[1])))
            if abs(math.log2(max_bytes / size)) < _NEAR:
                level = moved(near, math.log2(_AIM * max_bytes / size))
                return min(max(level, 0), levels.LEVELS - 1), 0
        level = self.search(max_bytes, levels.LEVEL_0 + 300, ENOUGH)
        return level, len(self._known) - before

    def search(self, max_bytes: int, start: int, enough: float, tried: dict[int, Trial] | None = None) -> int:
        """Return a level whose estimate fits and takes a share of the budget, or the finest that fits; 0 if none does.

        Args:
            start: the level to begin with, where nothing is known yet.
            enough: the share.
            tried: gets what is tried.
        """
        known = self._known
        low = max((level for level, size in known.items() if size <= max_bytes), default=-1)
        high = min((n for n, size in known.items() if size > max_bytes and n > low), default=levels.LEVELS)
        count = 0
        while high - low > 1 and known.get(low, 0) < enough * max_bytes:
            level = start
            if known:
                level = _next_level(known, low, high, max_bytes * (1 + enough) / 2, is_slow=count > 4)
            level = max(min(level, high - 1), low + 1)
            if tried is None:
                self.estimate(level)
            else:
                tried[level] = self.try_level(level)
            count += 1
            if known[level] <= max_bytes:
                low = level
            else:
                high = level
        return max(low, 0)


def moved(level: int, octaves: float) -> int:
    """Return the level whose stream has about so many octaves more bytes; it may be none that there is."""
    at = (level - levels.LEVEL_0) / (_LOW_OCTAVE if level < levels.LEVEL_0 else _OCTAVE) + octaves
    return math.floor(levels.LEVEL_0 + at * (_LOW_OCTAVE if at < 0 else _OCTAVE))


def _next_level(known: dict[int, float], low: int, high: int, aim: float, *, is_slow: bool) -> int:
    """Return the level to try next."""
    if is_slow:  # the curve is bent: halve the rest, so that the search ends after ten more at most
        return (low + high) // 2
    if low in known and high in known:
        below, above = math.log2(known[low]), math.log2(known[high])
        share = (math.log2(aim) - below) / max(above - below, 1e-9)
        return moved(low, share * _apart(low, high))
    start = low if low in known else high
    return moved(start, 1.1 * math.log2(aim / known[start]))


def _apart(low: int, high: int) -> float:
    """Return about how many octaves of bytes are between two levels."""
    below, above = (min(n, levels.LEVEL_0) - levels.LEVEL_0 for n in (low, high))
    rest = max(high, levels.LEVEL_0) - max(low, levels.LEVEL_0)
    return (above - below) / _LOW_OCTAVE + rest / _OCTAVE


def alone_bytes(decoded: Decoded) -> float:
    """Return about how many bytes a picture would take at its level if it referred to none."""
    packer = Packer(decoded.codec, decoded.values, decoded.width, decoded.height, scale=decoded.scale)
    return packer.estimate(decoded.level)
