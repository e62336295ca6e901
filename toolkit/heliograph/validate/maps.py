"""Maps of one stream: where its bits went, what each layer adds, which channels fire, where the error is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from heliograph.codec import container, rans
from heliograph.codec.codec import Codec
from heliograph.codec.contexts import Contexts
from heliograph.codec.rans import COST_UNIT
from heliograph.codec.stream import Decoded
from heliograph.codec.tiles import STRIDE

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
# Black to yellow by way of violet and red: lightness grows all the way, so that it reads in grey too.
_HEAT = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64)
GAP = 1  # pixels between the channels of a montage


@dataclass(frozen=True)
class Bits:
    """Where the bits of a stream went.

    Attributes:
        symbols: float64 [layers, h, w], bits of the symbols at each latent position, from the tables.
        overhead: bits of the stream that are no symbols': header, lengths, checksums, the coder's states.
    """

    symbols: Floats
    overhead: float

    @property
    def by_layer(self) -> list[float]:
        """Bits of each layer's symbols."""
        return [float(b) for b in self.symbols.sum(axis=(1, 2))]


def bits(data: bytes, decoded: Decoded) -> Bits:
    """Return where the bits of a whole stream went; `decoded` is what it decodes to."""
    header = container.open(data).header
    coder = decoded.codec.coder
    ordered = decoded.symbols[..., coder.model.order]
    symbol_bits = np.zeros((len(coder.model.layers), *ordered.shape[:2]))
    for rows, columns in header.slices:
        symbol_bits[:, rows, columns] = _slice_bits(decoded.codec, ordered[rows, columns], decoded.level)
    return Bits(symbol_bits, 8 * len(data) - float(symbol_bits.sum()))


def _slice_bits(codec: Codec, symbols: npt.NDArray[np.int16], level: int) -> Floats:
    """Bits of a slice's symbols [h, w, C] in coding order, float64 [layers, h, w]; the walk is the coder's."""
    model, tables = codec.coder.model, rans.Tables(codec.coder.model)
    rows, columns, _ = symbols.shape
    out = np.zeros((len(model.layers), rows * columns))
    for coded, residual in Contexts.of(model, symbols, level).residuals(symbols):
        costs = tables.costs_in(residual[:, coded.sent], coded.tables[:, coded.sent])
        out[coded.layer, coded.positions] = costs.sum(axis=1) / COST_UNIT
    return out.reshape(-1, rows, columns)


def after_layers(decoded: Decoded) -> list[Decoded]:
    """Return what a receiver has after each layer: later channels are zero."""
    model = decoded.codec.coder.model
    out = []
    for stop in model.layers:
        symbols = decoded.symbols.copy()
        symbols[..., model.order[stop:]] = 0
        out.append(replace(decoded, symbols=symbols))
    return out


def activity(decoded: Decoded) -> Floats:
    """Return the share of nonzero symbols of each channel in coding order, float64 [C]."""
    ordered = decoded.symbols[..., decoded.codec.coder.model.order]
    return np.asarray((ordered != 0).mean(axis=(0, 1)))


def montage(decoded: Decoded, columns: int = 16) -> Picture:
    """Return the magnitudes of all channels' symbols side by side in coding order, logarithmic, uint8 [H, W, 3]."""
    ordered = np.abs(decoded.symbols[..., decoded.codec.coder.model.order].astype(np.float64))
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
