"""Contexts in numpy, against numbers worked out by hand from FORMAT.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from heliograph.codec.coder import Reference
from heliograph.codec.contexts import Contexts, Pass, predict, steps_by_position
from heliograph.codec.entropy_model import EntropyModel, PassNetwork
from heliograph.codec.masking import Masking

Models = Callable[..., EntropyModel]


def flat(model: EntropyModel, number: int, change: Callable[[PassNetwork], PassNetwork]) -> EntropyModel:
    """Return a model with steps of 20 everywhere and each network of a set changed."""
    sets = list(model.sets)
    networks = tuple(change(network) for network in sets[number].networks)
    sets[number] = replace(sets[number], networks=networks)
    even = replace(model.masking, strength=np.zeros_like(model.masking.strength))
    return replace(model, sets=tuple(sets), steps=np.full_like(model.steps, 20), masking=even)


def with_gate(model: EntropyModel, bias: int) -> EntropyModel:
    """Return a model whose gates have only a bias, with a shift of 1."""

    def change(network: PassNetwork) -> PassNetwork:
        terms = network.reference
        assert terms is not None
        gate = replace(terms, gate=np.zeros_like(terms.gate), gate_bias=np.full_like(terms.gate_bias, bias))
        return replace(network, shifts=(*network.shifts[:3], 1), reference=gate)

    return flat(model, 1, change)


def first_of(contexts: Contexts, layer: int) -> Pass:
    """Return the first pass of a layer."""
    return next(contexts.walk(range(layer, layer + 1)))


@pytest.mark.parametrize(
    ("bias", "guesses"),
    [
        (-9, [0, 0]),
        (0, [0, 0]),
        (63, [3, -2]),
        (64, [3, -2]),
        (126, [5, -5]),
        (127, [5, -5]),
        (9999, [5, -5]),
    ],
)
def test_the_gate_opens_towards_the_reference(bias: int, guesses: list[int], models: Models) -> None:
    """Open is (bias + 1) >> 1, 32 of 64 in the middle: 5 * 32 + 32 >> 6 = 3, -5 * 32 + 32 >> 6 = -2."""
    values = np.zeros((1, 1, 24), np.int16)
    values[..., 12:14] = 5, -5
    contexts = Contexts(with_gate(models(1), bias), 1, 1, 500, Reference(values, 400))
    assert first_of(contexts, 2).guess[0, :3].tolist() == [*guesses, 0]


def test_neighbours_predict_in_sixteenths(models: Models) -> None:
    weights = np.zeros((4, 4, 2, 2), np.int16)
    weights[2, :, 0, 0] = 1024  # pass 3: a quarter of each tap
    weights[2, 0, 1, 0] = -4096  # less the second channel of the first tap
    values = np.array([[100, 7], [101, 0], [103, 0], [0, 0]], np.int16)
    taps = np.array([[0], [1], [2], [-1]])
    # (100 + 101 + 103) / 4 - 7 = 69
    assert predict(weights, values, 3, taps).tolist() == [[69, 0]]
    weights[2, :, 0, 0] = 32_000
    assert predict(weights, values, 3, taps).tolist() == [[2047, 0]]


def test_values_residuals_and_changes_are_kept_as_later_passes_see_them(models: Models) -> None:
    """Steps of 20, a guess of 0: residuals -2, 1 and 200 make -40, 20 and 2047, which is the highest."""
    there = np.zeros((1, 1, 24), np.int16)
    there[..., 12:16] = -39, 51, -2048, 10
    model = with_gate(models(1), 0)
    contexts = Contexts(model, 1, 1, 500, Reference(there, 400))
    seen = model.logarithm
    assert contexts.there is not None
    # (39 + 10) / 20 = 2, (51 + 10) / 20 = 3, (2048 + 10) / 20 = 102 counts as 63, (10 + 10) / 20 = 1
    assert contexts.there[0, 12:16].tolist() == seen[[2, 3, 63, 1]].tolist()
    residual = np.zeros((1, 12), np.int64)
    residual[0, :3] = -2, 1, 200
    first_of(contexts, 2).put(residual)
    assert contexts.values[0, 12:16].tolist() == [-40, 20, 2047, 0]
    assert contexts.residuals[0, 12:16].tolist() == seen[[2, 1, 63, 0]].tolist()
    # |-40 + 39| = 1: 11 / 20 = 0; |20 - 51| = 31: 41 / 20 = 2; 4095: 63; |0 - 10|: 20 / 20 = 1
    assert contexts.changes[0, 12:16].tolist() == seen[[0, 2, 63, 1]].tolist()


def test_steps_above_layer_0_grow_with_its_energy(models: Models) -> None:
    """Steps of 20, those above growing with the fourth root of the energy, which is 2 where they do not grow."""
    masking = Masking(1, np.full(4, 16, np.uint16), np.full(4, 64, np.uint8))
    model = replace(models(1), steps=np.full_like(models(1).steps, 20), masking=masking)
    values = np.zeros((1, 6, 24), np.int16)
    values[..., 0] = 2000  # does not count
    values[0, 1, 1] = -33  # (33 + 10) / 20 = 2: energy 1 + 4 = 5, activity 16 + 16 * 5 / 4 = 36
    values[0, 2, 1:3] = 69, 29  # 3 and 1: 1 + 9 + 1 = 11, 32 + 16 * 11 / 8 = 54
    values[0, 3, 5] = 2047  # 102 counts as 63: 3970, 160 + 16 * 3970 / 2048 = 191
    values[0, 4, 1] = 9  # nothing: energy 1, activity -16 + 16 = 0
    values[0, 5, 6] = 2000  # of layer 1
    # ((0, 36, 54, 191) - 16) * 64 + 128 >> 8 = -4, 5, 10, 44
    steps = steps_by_position(model, values, 500)
    assert (steps[..., :6] == 20).all()
    growths = np.array([-4, 5, 10, 24, -4, -4])
    assert steps[0, :, 6:].tolist() == [[step] * 18 for step in np.rint(20 * 2 ** (growths / 16)).tolist()]


def test_a_group_sees_what_its_channels_see_together(models: Models) -> None:
    """Layer 2's second pass in set 1: own, own2 and there alone, shift 8, for channels and for groups of four."""

    def change(network: PassNetwork) -> PassNetwork:
        terms = network.reference
        assert terms is not None
        new = replace(
            terms,
            change=None if terms.change is None else np.full_like(terms.change, 256),
            there=np.full_like(terms.there, 512),
        )
        own = None if network.own is None else np.full_like(network.own, 1024)
        return replace(network, choose=np.zeros_like(network.choose), own=own, reference=new)

    model = flat(models(1), 1, change)
    there = np.zeros((1, 2, 24), np.int16)
    there[0, 1, 12:14] = 20, 40
    contexts = Contexts(model, 1, 2, 500, Reference(there, 400))
    first, second = contexts.walk(range(2, 3))
    contexts.residuals[0, 12:14] = (
        3,
        5,
    )  # of the position on the left, which counts on the right too: mirrored
    contexts.changes[0, 12:14] = 0, 7
    assert first.positions.tolist() == [0]
    assert second.taps.tolist() == [[-1], [-1], [0], [0]]
    one, two = (int(model.logarithm[k]) for k in (1, 2))
    # 4 * (2 * 3) + 2 * one; 4 * (2 * 5) + 2 * 7 + 2 * two
    expected = [24 + 2 * one, 54 + 2 * two, *[0] * 10]
    assert second.columns[0].tolist() == [*expected, sum(expected), 0, 0]


def test_tables_are_limited_at_both_ends(models: Models) -> None:
    model = models(1)
    sets = list(model.sets)
    offsets = np.zeros_like(sets[0].offsets)
    offsets[:, :4] = -300, 7, 8, 9999
    offsets[:, 24:26] = -9, 9999  # of layer 0's groups
    sets[0] = replace(sets[0], offsets=offsets)
    contexts = Contexts(replace(model, sets=tuple(sets)), 1, 1, 500)
    first = first_of(contexts, 0)
    assert first.tables[0].tolist() == [0, 0, 1, 15, 0, 0]
    assert first.flag_tables[0].tolist() == [0, 7]
