"""Contexts in numpy: which table each symbol of a pass is coded with, from symbols already coded.

All integers: matrix products run in floating point where they are exact (float64 below 2**53, float32 below
2**24) and give what the C core computes in int32. FORMAT.md, section 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from heliograph.codec.entropy_model import EntropyModel, PassNetwork, level_offsets

_DIRECT = ((-1, 0), (1, 0), (0, -1), (0, 1))
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_PREDICT_SHIFT = 12
_COARSE_OWN_SHIFT = 8
MAX_PREDICTION = 255
Indices = npt.NDArray[np.intp]


def passes(layer: int) -> int:
    """Return the number of passes of a layer: a coarse grid refined in five, or the two of a checkerboard."""
    return 2 if layer else 5


def coded(layer: int, number: int, rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """Return which positions a pass codes, bool [rows, columns]."""
    y, x = np.arange(rows)[:, None], np.arange(columns)[None, :]
    if layer:
        return np.asarray((y + x) % 2 == number)
    coarse = ((y | x) & 1) == 0
    return (
        coarse & ((y & 2) == 0) & ((x & 2) == 0),
        coarse & ((y & 2) == 2) & ((x & 2) == 2),
        coarse & (((y ^ x) & 2) == 2),
        np.asarray((y & x & 1) == 1),
        np.asarray((y + x) % 2 == 1),
    )[number]


def network_of(model: EntropyModel, layer: int, number: int) -> PassNetwork | None:
    """Return the network of a pass; the three coarse passes of layer 0 have none."""
    if layer:
        return model.networks[2 * layer + number]
    return model.networks[number - 3] if number >= 3 else None


Pass = tuple[int, Indices, Indices]


def walk(layer: int, rows: int, columns: int) -> Iterator[Pass]:
    """Yield each pass of a layer: its number, its positions [n] and their taps [4, n], -1 where outside."""
    for number in range(passes(layer)):
        y, x = np.nonzero(coded(layer, number, rows, columns))
        far = 2 if layer == 0 and number < 3 else 1
        taps = []
        for dy, dx in _DIAGONAL if layer == 0 and number % 2 else _DIRECT:
            ty, tx = y + far * dy, x + far * dx
            ty = np.where((ty < 0) | (ty >= rows), 2 * y - ty, ty)  # outside: the opposite one
            tx = np.where((tx < 0) | (tx >= columns), 2 * x - tx, tx)
            inside = (ty >= 0) & (ty < rows) & (tx >= 0) & (tx < columns)
            taps.append(np.where(inside, ty * columns + tx, -1))
        yield number, y * columns + x, np.stack(taps)


def gather(values: npt.NDArray[np.generic], tap: Indices) -> npt.NDArray[np.float64]:
    """Return rows of values [positions, n] at a tap's positions, float64, zero where it is outside."""
    return np.asarray(np.where(tap[:, None] >= 0, values[tap], 0), np.float64)


def predict(
    weights: npt.NDArray[np.int16], symbols: npt.NDArray[np.int16], number: int, taps: Indices
) -> npt.NDArray[np.int64]:
    """Return the predicted symbols of a pass of layer 0, int64 [n, P], from symbols [positions, P]."""
    count = weights.shape[-1]
    if number == 0:
        return np.zeros((taps.shape[1], count), np.int64)
    total = np.zeros((taps.shape[1], count))
    for tap, weight in zip(taps, weights[number - 1].astype(np.float64), strict=True):
        total += gather(symbols[:, :count], tap) @ weight
    shifted = (total.astype(np.int64) + (1 << (_PREDICT_SHIFT - 1))) >> _PREDICT_SHIFT
    return np.asarray(np.clip(shifted, -MAX_PREDICTION, MAX_PREDICTION))


@dataclass
class Contexts:
    """The state of a slice while its passes are coded: call `tables`, then `put`, for each of `walk`.

    `symbols` int16 and `magnitudes` uint8 are [positions, C], zero until put; layers may be left unput.
    """

    model: EntropyModel
    rows: int
    columns: int
    level: int
    symbols: npt.NDArray[np.int16] = field(init=False)
    magnitudes: npt.NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        shape = self.rows * self.columns, self.model.channels
        self.symbols = np.zeros(shape, np.int16)
        self.magnitudes = np.zeros(shape, np.uint8)
        self.offset, self.sent = level_offsets(self.model, self.level)

    def walk(self, layer: int) -> Iterator[Pass]:
        """Yield each pass of a layer; see the function."""
        return walk(layer, self.rows, self.columns)

    def predict(self, number: int, taps: Indices) -> npt.NDArray[np.int64]:
        """Return the predicted symbols of a pass of layer 0, int64 [n, P]."""
        return predict(self.model.predict, self.symbols, number, taps)

    def tables(self, layer: int, number: int, positions: Indices, taps: Indices) -> npt.NDArray[np.uint8]:
        """Return the tables of a pass, uint8 [n, channels of the layer]."""
        start, stop = self.model.span(layer)
        value = self.values(layer, number, positions, taps) + self.offset[start:stop] + 8
        return np.asarray(np.clip(value, 0, 16 * len(self.model.counts) - 1) >> 4, np.uint8)

    def values(self, layer: int, number: int, positions: Indices, taps: Indices) -> npt.NDArray[np.int64]:
        """Return what a pass adds to the offsets, int64 [n, channels of the layer], in 1/16 table."""
        model = self.model
        start, stop = model.span(layer)
        net = network_of(model, layer, number)
        value = np.zeros((len(positions), stop - start))
        shift, own = _COARSE_OWN_SHIFT, None
        if net is not None:
            value += self._look(net, positions) @ net.choose.astype(np.float64)
            shift, own = net.shifts[2], net.own
        elif number:
            own = model.coarse_own[number - 1]
        if own is not None:
            for tap in taps:
                value += gather(self.magnitudes[:, start:stop], tap) * own
        return (value.astype(np.int64) + (1 << (shift - 1))) >> shift

    def _look(self, net: PassNetwork, positions: Indices) -> npt.NDArray[np.float64]:
        """Return the second stage's features at positions, float64 [n, second]."""
        known, first = net.mix.shape
        a, b, _ = net.shifts
        seen = self.magnitudes[:, :known].astype(np.float32)  # sums stay below 2**24: exact
        mixed = (seen @ net.mix.astype(np.float32)).astype(np.int64) + net.mix_bias
        features = np.clip((mixed + (1 << (a - 1))) >> a, 0, 127).reshape(self.rows, self.columns, first)
        padded = np.pad(features, ((1, 1), (1, 1), (0, 0))).astype(np.float64)
        y, x = np.divmod(positions, self.columns)
        around = np.stack(
            [padded[y + dy, x + dx] for dy in range(3) for dx in range(3)], axis=1
        )  # [n, 9, first]
        weight = net.look.astype(np.float64).reshape(9 * first, -1)
        looked = (around.reshape(len(y), 9 * first) @ weight).astype(np.int64)
        looked += net.look_bias + net.level.astype(np.int64) * self.level
        return np.asarray(np.clip((looked + (1 << (b - 1))) >> b, 0, 127), np.float64)

    def put(
        self,
        layer: int,
        positions: Indices,
        residual: npt.NDArray[np.int64],
        guess: npt.NDArray[np.int64] | None,
    ) -> None:
        """Store the residuals [n, channels of the layer] of a pass; `guess` [n, P] in layer 0."""
        start, stop = self.model.span(layer)
        seen = self.model.logarithm[np.minimum(np.abs(residual), len(self.model.logarithm) - 1)]
        self.magnitudes[positions, start:stop] = seen
        if guess is not None:
            residual = residual.copy()
            residual[:, : guess.shape[1]] += guess
        self.symbols[positions, start:stop] = residual
