"""The largest entropy file that is legal, with the largest weights: sums stay within 32 bits, and C and numpy agree."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import MOST_ENTROPY_BYTES
from heliograph.codec.coder import Reference
from heliograph.codec.entropy_model import (
    MAX_ANCHORS,
    MAX_BIAS,
    MAX_CHANNELS,
    MAX_FEATURES,
    MAX_GROUP,
    MAX_LAYERS,
    MAX_PREDICTED,
    MAX_TABLES,
    TOTAL,
    ContextSet,
    EntropyModel,
    PassNetwork,
    ReferenceTerms,
)
from heliograph.codec.masking import Masking
from heliograph.codec.native_coder import NativeCoder, load_core
from heliograph.codec.numpy_coder import NumpyCoder

COUNT = MAX_CHANNELS // MAX_LAYERS  # channels of a layer
COLUMNS = COUNT + COUNT // MAX_GROUP


def extreme_model(signs: tuple[int, ...]) -> EntropyModel:
    """Return a model whose weights are all as large as can be, of random signs from `signs`."""
    r = np.random.default_rng(len(signs))
    first, second = MAX_FEATURES

    def bytes_(*shape: int) -> npt.NDArray[np.int8]:
        return np.asarray(np.clip(128 * r.choice(signs, shape), -128, 127), np.int8)

    def words(*shape: int) -> npt.NDArray[np.int16]:
        return np.asarray(np.clip(32_768 * r.choice(signs, shape), -32_768, 32_767), np.int16)

    def biases(count: int) -> npt.NDArray[np.int32]:
        return (MAX_BIAS * r.choice(signs, count)).astype(np.int32)

    def network(layer: int, known: int, *, own: bool, referring: bool) -> PassNetwork:
        terms = None
        if referring:
            near = words(COLUMNS) if own else None
            terms = ReferenceTerms(words(second), near, words(COLUMNS), bytes_(second, COUNT), biases(COUNT))
        inputs = 2 * known + COUNT * (layer + 1) if referring else known
        return PassNetwork(
            (1, 24, 8, 12 if referring else 0),
            bytes_(inputs, first),
            biases(first),
            bytes_(3, 3, first, second),
            biases(second),
            words(second),
            bytes_(second, COLUMNS),
            words(COLUMNS) if own else None,
            terms,
        )

    def contexts(number: int) -> ContextSet:
        networks = [network(0, 0, own=True, referring=True)] if number else []
        for layer in range(MAX_LAYERS):
            for half in (0, 1):
                own, known = layer == 0 or half == 1, COUNT * (layer + (layer == 0 or half))
                networks.append(network(layer, known, own=own, referring=bool(number)))
        offsets = words(MAX_ANCHORS, MAX_LAYERS * COLUMNS)
        return ContextSet(MAX_FEATURES, offsets, None if number else words(2, COLUMNS), tuple(networks))

    tokens = 256
    return EntropyModel(
        tile=64,
        layers=tuple(range(COUNT, MAX_CHANNELS + 1, COUNT)),
        group=MAX_GROUP,
        order=r.permutation(MAX_CHANNELS).astype(np.uint16),
        logarithm=np.where(np.arange(64) > 0, 127, 0).astype(np.uint8),
        anchors=np.append(np.arange(MAX_ANCHORS - 1), 1023).astype(np.uint16),
        steps=r.choice([4, 4, 65_535], (26, MAX_CHANNELS)).astype(np.uint16),
        rounding=np.full(26, 128, np.uint8),
        masking=Masking(
            0,
            r.choice([0, 65_535], MAX_ANCHORS).astype(np.uint16),
            r.choice([0, 255], MAX_ANCHORS).astype(np.uint8),
        ),
        predict=(1024 * r.choice(signs, (4, 4, MAX_PREDICTED, MAX_PREDICTED))).astype(np.int16),
        sets=(contexts(0), contexts(1)),
        starts=np.tile(np.arange(tokens) * (TOTAL // tokens), MAX_TABLES).astype(np.uint16),
        counts=np.full(MAX_TABLES, tokens),
        zeros=np.where(np.arange(MAX_TABLES) % 2, 1, TOTAL - 1).astype(np.uint16),
    )


@pytest.mark.parametrize("signs", [(1,), (-1,), (-1, 1), (-1, 0, 1)])
def test_the_largest_sums_are_the_same_in_c_and_numpy(signs: tuple[int, ...]) -> None:
    data = extreme_model(signs).to_bytes()
    assert len(data) <= MOST_ENTROPY_BYTES
    core = load_core()
    assert core is not None
    slow, fast = NumpyCoder(data), NativeCoder(data, core)
    r = np.random.default_rng(3)
    picture = r.choice([-2048, 2047, 0, 3], (5, 6, MAX_CHANNELS)).astype(np.int16)
    there = Reference(r.choice([-2048, 2047, 0], picture.shape).astype(np.int16), 1023)
    for level, reference in ((1023, None), (1023, there), (0, there), (700, there)):
        for strength in (0, 1024):
            a, b = (
                coder.encode(picture, level, rounding=128, strength=strength, reference=reference)
                for coder in (slow, fast)
            )
            assert a.bits == b.bits
            assert np.array_equal(a.values, b.values)
            assert a.segments == b.segments
            for coder in (slow, fast):
                found = coder.decode(a.segments, 5, 6, level, merged=False, reference=reference)
                assert np.array_equal(found.values, a.values)
