"""Contexts in numpy: which table each symbol of a pass is coded with, from symbols already coded.

All integers: matrix products run in floating point where they are exact (float64 below 2**53, float32 below
2**24) and give what the C core computes in int32. FORMAT.md, section 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

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


def walk(layer: int, rows: int, columns: int) -> Iterator[tuple[int, Indices, Indices]]:
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


@dataclass(frozen=True)
class Pass:
    """A pass of a slice, reached in the order of coding: look at it, then `put` its residuals.

    Attributes:
        layer, number: which pass it is; `number` counts within the layer.
        positions: [n], in rows of the slice.
        taps: [4, n], positions of the coded neighbours, -1 where outside.
        channels: of the layer, `count` of them.
        sent: bool [count], which channels are coded at the level.
        prediction: int64 [n, count], zero but in the predicted channels of layer 0.
    """

    layer: int
    number: int
    positions: Indices
    taps: Indices
    channels: slice
    sent: npt.NDArray[np.bool_]
    prediction: npt.NDArray[np.int64]
    contexts: Contexts = field(repr=False)

    @cached_property
    def values(self) -> npt.NDArray[np.int64]:
        """What the pass adds to the offsets, int64 [n, count], in 1/16 table; to be asked for before `put`."""
        model, contexts = self.contexts.model, self.contexts
        network = network_of(model, self.layer, self.number)
        value = np.zeros(self.prediction.shape)
        shift, own = _COARSE_OWN_SHIFT, None
        if network is not None:
            value += contexts.features(network, self.positions) @ network.choose.astype(np.float64)
            shift, own = network.shifts[2], network.own
        elif self.number:
            own = model.coarse_own[self.number - 1]
        if own is not None:
            for tap in self.taps:
                value += gather(contexts.magnitudes[:, self.channels], tap) * own
        return (value.astype(np.int64) + (1 << (shift - 1))) >> shift

    @cached_property
    def tables(self) -> npt.NDArray[np.uint8]:
        """The tables of the pass, uint8 [n, count]; to be asked for before `put`."""
        value = self.values + self.contexts.offset[self.channels] + 8
        return np.asarray(np.clip(value, 0, 16 * len(self.contexts.model.counts) - 1) >> 4, np.uint8)

    def put(self, residual: npt.NDArray[np.int64]) -> None:
        """Store the residuals int64 [n, count] of the pass, which the next ones see."""
        contexts, logarithm = self.contexts, self.contexts.model.logarithm
        seen = logarithm[np.minimum(np.abs(residual), len(logarithm) - 1)]
        contexts.magnitudes[self.positions, self.channels] = seen
        contexts.symbols[self.positions, self.channels] = residual + self.prediction


@dataclass
class Contexts:
    """The state of a slice while its passes are coded.

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

    @classmethod
    def of(cls, model: EntropyModel, symbols: npt.NDArray[np.int16], level: int) -> Contexts:
        """Return the state at the start of a slice of symbols [rows, columns, C]."""
        return cls(model, symbols.shape[0], symbols.shape[1], level)

    def walk(self, layers: range | None = None) -> Iterator[Pass]:
        """Yield the passes of layers, by default of all, in the order of coding; `put` each before the next."""
        for layer in range(len(self.model.layers)) if layers is None else layers:
            channels = slice(*self.model.span(layer))
            sent = self.sent[channels]
            for number, positions, taps in walk(layer, self.rows, self.columns):
                prediction = np.zeros((len(positions), len(sent)), np.int64)
                if layer == 0:
                    prediction[:, : self.model.predicted] = predict(
                        self.model.predict, self.symbols, number, taps
                    )
                yield Pass(layer, number, positions, taps, channels, sent, prediction, self)

    def residuals(
        self, symbols: npt.NDArray[np.int16], layers: range | None = None
    ) -> Iterator[tuple[Pass, npt.NDArray[np.int64]]]:
        """Yield the passes with the residuals int64 [n, count] of known symbols [rows, columns, C]."""
        flat = symbols.reshape(-1, symbols.shape[-1])
        for coded in self.walk(layers):
            of_pass = flat[coded.positions, coded.channels].astype(np.int64)
            residual = np.where(coded.sent, of_pass, 0) - coded.prediction
            yield coded, residual
            coded.put(residual)

    def features(self, network: PassNetwork, positions: Indices) -> npt.NDArray[np.float64]:
        """Return the second stage's features at positions, float64 [n, second]."""
        known, first = network.mix.shape
        a, b, _ = network.shifts
        seen = self.magnitudes[:, :known].astype(np.float32)  # sums stay below 2**24: exact
        mixed = (seen @ network.mix.astype(np.float32)).astype(np.int64) + network.mix_bias
        features = np.clip((mixed + (1 << (a - 1))) >> a, 0, 127).reshape(self.rows, self.columns, first)
        padded = np.pad(features, ((1, 1), (1, 1), (0, 0))).astype(np.float64)
        y, x = np.divmod(positions, self.columns)
        around = np.stack(
            [padded[y + dy, x + dx] for dy in range(3) for dx in range(3)], axis=1
        )  # [n, 9, first]
        weight = network.look.astype(np.float64).reshape(9 * first, -1)
        looked = (around.reshape(len(y), 9 * first) @ weight).astype(np.int64)
        looked += network.look_bias + network.level.astype(np.int64) * self.level
        return np.asarray(np.clip((looked + (1 << (b - 1))) >> b, 0, 127), np.float64)
