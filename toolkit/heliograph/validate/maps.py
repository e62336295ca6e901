"""Maps of one stream: where its bits went, what each layer adds, which channels fire, where the error is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from heliograph.codec import container, rans
from heliograph.codec.codec import ENTROPY
from heliograph.codec.coder import Reference
from heliograph.codec.contexts import Contexts, Pass
from heliograph.codec.numpy_coder import NumpyCoder
from heliograph.codec.passes import Indices
from heliograph.codec.stream import Decoded
from heliograph.codec.tiles import STRIDE
from heliograph.codec.values import UNIT, Values

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
# Black to yellow by way of violet and red: lightness grows all the way, so that it reads in grey too.
_HEAT = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64)
GAP = 1  # pixels between the channels of a montage


@dataclass(frozen=True)
class Bits:
    """Where the bits of a stream went.

    Attributes:
        symbols: float64 [layers, h, w], bits of the symbols at each latent position, from the tables; those of a base
            come first, as if it were one more.
        overhead: bits of the stream that are no symbols': header, lengths, checksums, the coder's states.
    """

    symbols: Floats
    overhead: float

    @property
    def by_layer(self) -> list[float]:
        """Bits of each layer's symbols."""
        return [float(b) for b in self.symbols.sum(axis=(1, 2))]


def bits(data: bytes, decoded: Decoded, there: Values | None = None) -> Bits:
    """Return where the bits of a whole stream went.

    `decoded` is what it decodes to, `there` the values int16 [h, w, C] that it refers to, if it refers to any.
    """
    stream, coder = container.open(data), NumpyCoder(decoded.codec.read(ENTROPY))
    header, model = stream.header, coder.model
    symbol_bits = np.zeros((len(model.layers) + header.is_refined, *decoded.values.shape[:2]))
    count = header.slice_count
    for number, place in enumerate(header.slices):
        payloads = [stream.segment(part * count + number) or b"" for part in range(header.parts)]
        reference = None
        if header.reference is not None and there is not None:
            reference = Reference(there[place][..., model.order], header.reference.level)
        of_slice = symbol_bits[(slice(None), *place)]
        _, rows, columns = of_slice.shape
        if header.base_level is not None:
            contexts = Contexts(model, rows, columns, header.base_level)
            for _, where, spent in _walk(coder, contexts, payloads[:1], merged=True):
                of_slice[(0, *where)] += spent
            reference = Reference(contexts.values.reshape(rows, columns, -1), header.base_level)
            payloads, of_slice = payloads[1:], of_slice[1:]
        contexts = Contexts(model, rows, columns, header.level, reference)
        merged = header.parts - header.is_refined == 1
        for coded, where, spent in _walk(coder, contexts, payloads, merged=merged, short=header.is_short):
            of_slice[(coded.layer, *where)] = spent
    return Bits(symbol_bits, 8 * len(data) - float(symbol_bits.sum()))


def _walk(
    coder: NumpyCoder, contexts: Contexts, payloads: list[bytes], *, merged: bool, short: bool = False
) -> Iterator[tuple[Pass, tuple[Indices, Indices], Floats]]:
    """Decode a slice; yield the passes that it has symbols of, their rows and columns, and the bits there."""
    for coded, residual, read in coder.decode_passes(contexts, payloads, merged=merged, short=short):
        if read:
            yield coded, np.divmod(coded.positions, contexts.columns), _bits_of(coded, residual, coder.tables)


def _bits_of(coded: Pass, residual: npt.NDArray[np.int64], tables: rans.Tables) -> Floats:
    """Return the bits of a pass at each of its positions, float64 [n]."""
    flag = coded.by_group(np.abs(residual)) > 0
    costs = tables.flag_cost[flag.astype(np.intp), coded.flag_tables].sum(axis=1)
    costs += (tables.costs_in(residual, coded.tables) * coded.by_channel(flag)).sum(axis=1)
    return np.asarray(costs / rans.COST_UNIT)


def after_layers(decoded: Decoded, there: Values | None = None) -> list[Decoded]:
    """Return what a receiver has after each layer: later channels are the reference's, `there`, or zero."""
    model = decoded.codec.coder.model
    out = []
    for stop in model.layers:
        values, later = decoded.values.copy(), model.order[stop:]
        values[..., later] = 0 if there is None else there[..., later]
        out.append(replace(decoded, values=values))
    return out


def activity(decoded: Decoded) -> Floats:
    """Return the share of nonzero values of each channel in coding order, float64 [C]."""
    ordered = decoded.values[..., decoded.codec.coder.model.order]
    return np.asarray((ordered != 0).mean(axis=(0, 1)))


def montage(decoded: Decoded, columns: int = 16) -> Picture:
    """Return the magnitudes of all channels' latents side by side in coding order, logarithmic, uint8 [H, W, 3]."""
    ordered = np.abs(decoded.values[..., decoded.codec.coder.model.order] / UNIT)
    height, width, count = ordered.shape
    down = -(-count // columns)
    shape = down * (height + GAP), min(columns, count) * (width + GAP)
    sheet = np.full(shape, np.nan)
    for channel in range(count):
        y, x = divmod(channel, columns)
        place = sheet[y * (height + GAP) :, x * (width + GAP) :]
        place[:height, :width] = np.log1p(ordered[..., channel])
    picture = heat(np.nan_to_num(sheet), top=float(np.log1p(max(ordered.max(), 1.0))))
    picture[np.isnan(sheet)] = 255
    return picture


def heat(values: Floats, top: float | None = None, scale: int = 1) -> Picture:
    """Return values [h, w] as colours, black for 0 to yellow for `top` or the largest, `scale` pixels a side each."""
    most = float(values.max()) if top is None else top
    place = np.clip(values / (most or 1.0), 0, 1) * (len(_HEAT) - 1)
    low = np.minimum(place.astype(int), len(_HEAT) - 2)
    part = (place - low)[..., None]
    colours = _HEAT[low] * (1 - part) + _HEAT[low + 1] * part
    return np.asarray(np.kron(np.round(colours), np.ones((scale, scale, 1))), np.uint8)


def bit_map(bits: Bits, width: int, height: int) -> Picture:
    """Return bits per latent position as a picture of the stream's size, uint8 [height, width, 3]."""
    return heat(bits.symbols.sum(axis=0), scale=STRIDE)[:height, :width]


def error_map(original: Picture, shown: Picture, top: float = 32.0) -> Picture:
    """Return the mean absolute error of each pixel as colours; yellow is `top` of 255 or more."""
    apart = np.abs(original.astype(np.float64) - shown.astype(np.float64)).mean(axis=-1)
    return heat(apart, top=top)


def side_by_side(pictures: Sequence[Picture], gap: int = 4) -> Picture:
    """Return pictures of one height next to each other on white."""
    height = pictures[0].shape[0]
    white = np.full((height, gap, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, white)]
    return np.concatenate(parts[:-1], axis=1)
