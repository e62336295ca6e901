"""Contexts in numpy: from what is coded already, what is expected of a pass, and which tables code the rest.

All integers: matrix products run in float64, where they are exact, and give what the C core computes in int32.
FORMAT.md, sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from heliograph.codec.coder import Reference
from heliograph.codec.entropy_model import EntropyModel, PassNetwork, at_level
from heliograph.codec.levels import steps_at
from heliograph.codec.masking import energy, grown_steps, growth
from heliograph.codec.passes import Indices, gather, walk
from heliograph.codec.values import HIGHEST, LOWEST, Values

_PREDICT_SHIFT = 12
_COARSE_OWN_SHIFT = 8
_OPEN_SHIFT = 6
Int64 = npt.NDArray[np.int64]
Tables = npt.NDArray[np.uint8]


def shift_down(v: npt.NDArray[np.float64] | Int64, shift: int) -> Int64:
    """Return whole numbers divided by 2^shift, rounded half up, int64."""
    return np.asarray((v.astype(np.int64) + (1 << (shift - 1))) >> shift)


def predict(weights: npt.NDArray[np.int16], values: Values, number: int, taps: Indices) -> Int64:
    """Return what neighbours say of a pass of layer 0, int64 [n, P], from values [positions, P]."""
    count = weights.shape[-1]
    if number == 0:
        return np.zeros((taps.shape[1], count), np.int64)
    total = np.zeros((taps.shape[1], count))
    for tap, weight in zip(taps, weights[number - 1].astype(np.float64), strict=True):
        total += gather(values[:, :count], tap) @ weight
    return np.asarray(np.clip(shift_down(total, _PREDICT_SHIFT), LOWEST, HIGHEST))


@dataclass(frozen=True)
class Pass:
    """A pass of a slice, reached in the order of coding: look at it, then `put` its residuals.

    Attributes:
        layer, number: which pass it is; `number` counts within the layer.
        positions: [n], in rows of the slice.
        taps: [4, n], positions of the coded neighbours, -1 where outside.
        channels: of the layer, `count` of them.
    """

    layer: int
    number: int
    positions: Indices
    taps: Indices
    channels: slice
    contexts: Contexts = field(repr=False)

    @cached_property
    def sizes(self) -> Int64:
        """Channels of each group, int64 [groups]."""
        return np.array([g.stop - g.start for g in self.contexts.model.groups(self.layer)])

    def by_group(self, of_channels: Int64) -> Int64:
        """Return the sums int64 [n, groups] over the channels of each group."""
        return np.asarray(np.add.reduceat(of_channels, np.cumsum(self.sizes) - self.sizes, axis=1))

    def by_channel(self, of_groups: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return what holds for groups, bool [n, groups], for each of their channels, bool [n, count]."""
        return np.repeat(of_groups, self.sizes, axis=1)

    @cached_property
    def _network(self) -> PassNetwork | None:
        return self.contexts.set.network(self.layer, self.number)

    @cached_property
    def _looked(self) -> npt.NDArray[np.float64]:
        """The second stage's features at the positions, float64 [n, second]."""
        assert self._network is not None
        return self.contexts.features(self._network, self.positions, self.channels)

    @cached_property
    def columns(self) -> Int64:
        """What the pass adds to the offsets of its channels and groups, in 1/16 table, int64 [n, columns]."""
        contexts, network, number = self.contexts, self._network, self.number
        value: Int64 = np.zeros((len(self.positions), len(self.contexts.offsets_of(self.layer))), np.int64)
        if network is None:
            if contexts.set.coarse_own is None or number == 0:
                return value
            return shift_down(
                self._near(contexts.residuals) * contexts.set.coarse_own[number - 1], _COARSE_OWN_SHIFT
            )
        value += (self._looked @ network.choose.astype(np.float64)).astype(np.int64)
        if network.own is not None:
            value += self._near(contexts.residuals) * network.own
        terms = network.reference
        if terms is not None and contexts.there is not None:
            if terms.change is not None:
                value += self._near(contexts.changes) * terms.change
            value += (
                self._with_groups(contexts.there[self.positions, self.channels].astype(np.int64))
                * terms.there
            )
        return shift_down(value, network.shifts[2])

    def _near(self, magnitudes: npt.NDArray[np.uint8]) -> Int64:
        """Return the sums over taps, of channels and then of groups, int64 [n, columns]."""
        total = sum(gather(magnitudes[:, self.channels], tap) for tap in self.taps)
        return self._with_groups(np.asarray(total).astype(np.int64))

    def _with_groups(self, of_channels: Int64) -> Int64:
        return np.concatenate([of_channels, self.by_group(of_channels)], axis=1)

    def _tables(self, columns: slice, count: int) -> Tables:
        value = self.columns[:, columns] + self.contexts.offsets_of(self.layer)[columns] + 8
        return np.asarray(np.clip(value, 0, 16 * count - 1) >> 4, np.uint8)

    @cached_property
    def tables(self) -> Tables:
        """The tables of the residuals, uint8 [n, count]; to be asked for before `put`."""
        return self._tables(slice(None, self._count), len(self.contexts.model.counts))

    @cached_property
    def flag_tables(self) -> Tables:
        """The tables of the flags, uint8 [n, groups]; to be asked for before `put`."""
        return self._tables(slice(self._count, None), len(self.contexts.model.zeros))

    @cached_property
    def steps(self) -> Int64:
        """The steps of the channels at the positions, int64 [n, count]; above layer 0 they grow with the activity."""
        steps = self.contexts.steps[self.channels]
        if self.layer == 0:
            return np.broadcast_to(steps, (len(self.positions), self._count))
        return grown_steps(steps, self.contexts.growth(self.positions))

    @property
    def _count(self) -> int:
        return int(self.channels.stop - self.channels.start)

    @cached_property
    def guess(self) -> Int64:
        """The values expected, int64 [n, count]; to be asked for before `put`."""
        contexts = self.contexts
        near = self._predicted(contexts.values)
        if contexts.reference is None or self._network is None or self._network.reference is None:
            return near
        terms = self._network.reference
        gate = self._looked @ terms.gate.astype(np.float64) + terms.gate_bias
        is_open = np.clip(shift_down(gate, self._network.shifts[3]), 0, 1 << _OPEN_SHIFT)
        there = contexts.reference[self.positions, self.channels] - self._predicted(contexts.reference)
        return np.asarray(np.clip(near + shift_down(there * is_open, _OPEN_SHIFT), LOWEST, HIGHEST))

    def _predicted(self, values: Values) -> Int64:
        near = np.zeros((len(self.positions), self._count), np.int64)
        if self.layer == 0:
            weights = self.contexts.model.predict
            near[:, : weights.shape[-1]] = predict(weights, values, self.number, self.taps)
        return near

    def put(self, residual: Int64, known: npt.NDArray[np.bool_] | None = None) -> None:
        """Store the residuals int64 [n, count] of the pass, which the next ones see.

        `known` bool [n, count] says which are; other values are the reference's, without one the guess.
        """
        contexts, place = self.contexts, (self.positions, self.channels)
        step = self.steps
        value = np.clip(self.guess + residual * step, LOWEST, HIGHEST)
        if known is not None:
            value = np.where(
                known, value, self.guess if contexts.reference is None else contexts.reference[place]
            )
        contexts.residuals[place] = contexts.magnitude(residual)
        if contexts.reference is not None:
            change = np.abs(value - contexts.reference[place]) + (step >> 1)
            contexts.changes[place] = contexts.magnitude(change // step)
        contexts.values[place] = value
        if self.layer == 0:
            contexts.add_energy(self.positions, value)

    def skip(self) -> None:
        """Store what a pass has that was lost: the reference's values; without one the guess."""
        contexts, place = self.contexts, (self.positions, self.channels)
        contexts.values[place] = self.guess if contexts.reference is None else contexts.reference[place]


@dataclass
class Contexts:
    """The state of a slice while its passes are coded.

    Attributes:
        values: int16 [positions, C], zero until put.
        residuals, changes: uint8 [positions, C], magnitudes, zero until put.
        reference: int16 [positions, C], or None.
        there: uint8 [positions, C], the magnitudes of the reference, or None.
        steps: int64 [C], of the level.
        energy: int64 [positions], of layer 0, zero until put.
    """

    model: EntropyModel
    rows: int
    columns: int
    level: int
    referred: Reference | None = None

    def __post_init__(self) -> None:
        shape = self.rows * self.columns, self.model.channels
        number = int(self.referred is not None)
        self.set = self.model.sets[number]
        self.steps = steps_at(self.model.steps, self.level).astype(np.int64)
        masking = self.model.masking
        self._ordinary, self._strength = (
            int(at_level(self.model, x, self.level)) for x in (masking.ordinary, masking.strength)
        )
        self.energy = np.zeros(shape[0], np.int64)
        self.values: Values = np.zeros(shape, np.int16)
        self.residuals = np.zeros(shape, np.uint8)
        self.changes = np.zeros(shape if number else (0, 0), np.uint8)
        self.reference: Values | None = None
        self.there: npt.NDArray[np.uint8] | None = None
        if self.referred is not None:
            self.reference = self.referred.values.reshape(shape)
            size = np.abs(self.reference.astype(np.int64)) + (self.steps >> 1)
            self.there = self.magnitude(size // self.steps)
        offsets = at_level(self.model, self.set.offsets, self.level)
        groups = np.cumsum([0, *(len(self.model.groups(layer)) for layer in range(len(self.model.layers)))])
        self._offsets = [
            np.append(
                offsets[slice(*self.model.span(layer))],
                offsets[self.model.channels + groups[layer] : self.model.channels + groups[layer + 1]],
            )
            for layer in range(len(self.model.layers))
        ]

    def offsets_of(self, layer: int) -> Int64:
        """Return the offsets of a layer's channels and then of its groups, int64 [columns]."""
        return self._offsets[layer]

    def magnitude(self, number: Int64) -> npt.NDArray[np.uint8]:
        """Return what contexts see of numbers, uint8 of equal shape."""
        logarithm = self.model.logarithm
        return np.asarray(logarithm[np.minimum(np.abs(number), len(logarithm) - 1)])

    def add_energy(self, positions: Indices, values: Int64) -> None:
        """Add that of values of layer 0, int64 [n, channels], at positions."""
        first = self.model.masking.unmasked
        self.energy[positions] += energy(values[:, first:], self.steps[first : values.shape[1]])

    def growth(self, positions: Indices) -> Int64:
        """Return how the steps above layer 0 grow at positions, int64 [n]."""
        return growth(self.energy[positions], self._ordinary, self._strength)

    def walk(self, layers: range | None = None) -> Iterator[Pass]:
        """Yield the passes of layers, by default of all, in the order of coding; `put` each before the next."""
        for layer in range(len(self.model.layers)) if layers is None else layers:
            channels = slice(*self.model.span(layer))
            for number, positions, taps in walk(layer, self.rows, self.columns):
                yield Pass(layer, number, positions, taps, channels, self)

    def features(self, network: PassNetwork, positions: Indices, channels: slice) -> npt.NDArray[np.float64]:
        """Return the second stage's features at positions, float64 [n, second]."""
        inputs, first = network.mix.shape
        a, b = network.shifts[:2]
        seen = [self.residuals[:, :inputs]]
        if self.there is not None:
            known = (inputs - channels.stop) // 2
            seen = [self.residuals[:, :known], self.changes[:, :known], self.there[:, : channels.stop]]
        mixed = np.concatenate(seen, axis=1).astype(np.float64) @ network.mix.astype(np.float64)
        features = np.clip(shift_down(mixed + network.mix_bias, a), 0, 127)
        features = features.reshape(self.rows, self.columns, first)
        padded = np.pad(features, ((1, 1), (1, 1), (0, 0))).astype(np.float64)
        y, x = np.divmod(positions, self.columns)
        around = np.stack(
            [padded[y + dy, x + dx] for dy in range(3) for dx in range(3)], axis=1
        )  # [n, 9, first]
        weight = network.look.astype(np.float64).reshape(9 * first, -1)
        looked = (around.reshape(len(y), 9 * first) @ weight).astype(np.int64)
        looked += network.look_bias + network.level.astype(np.int64) * self.level
        if network.reference is not None and self.referred is not None:
            looked += network.reference.level.astype(np.int64) * self.referred.level
        return np.asarray(np.clip(shift_down(looked, b), 0, 127), np.float64)


def steps_by_position(model: EntropyModel, values: Values, level: int) -> Int64:
    """Return the steps int64 [h, w, C] that values int16 [h, w, C] of a level were quantised with, in coding order."""
    rows, columns, channels = values.shape
    contexts, (_, stop) = Contexts(model, rows, columns, level), model.span(0)
    everywhere = np.arange(rows * columns)
    contexts.add_energy(everywhere, values.reshape(-1, channels)[:, :stop].astype(np.int64))
    grown = grown_steps(contexts.steps[stop:], contexts.growth(everywhere))
    flat = np.broadcast_to(contexts.steps[:stop], (len(everywhere), stop))
    return np.concatenate([flat, grown], axis=1).reshape(values.shape)
