"""Bits with contexts: what is expected is cheap, and nothing is known before it is coded."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.train.context_rate import ContextRate, groups


def test_groups_are_small_first_and_take_all_channels() -> None:
    assert groups(384) == (16, 32, 64, 272)
    assert groups(128) == (8, 16, 32, 72)


def test_bits_of_symbols_that_a_density_expects_are_few() -> None:
    rate = ContextRate(128)
    latent = np.zeros((1, 4, 6, 128), np.float32)
    latent[0, 0, 0, 0] = 8.0
    step, quality = np.ones((1, 1, 1, 128), np.float32), np.full((1, 1), 0.5, np.float32)
    rate.density_scale.assign(np.full((128, 3), np.log(0.1) / 10))
    bits = np.asarray(rate(latent, step, quality, latent))
    assert bits.shape == latent.shape
    # A logistic of scale 0.1 has all but 2 sigmoid(-5) of its mass within half a step: 0.0194 bits
    assert np.median(bits) == pytest.approx(-np.log2(1 - 2 / (1 + np.exp(5))), rel=0.5)
    assert bits[0, 0, 0, 0] > 15


def test_contexts_see_only_what_was_coded_before() -> None:
    rate = ContextRate(128)
    rng = np.random.default_rng(0)
    latent = rng.normal(0, 2, (1, 6, 6, 128)).astype(np.float32)
    step, quality = np.ones((1, 1, 1, 128), np.float32), np.full((1, 1), 0.5, np.float32)
    other = latent.copy()
    other[0, 3, 2, 50] += 5  # in the last group but one, at a position of its second phase
    before, after = (np.asarray(rate(latent, step, quality, seen)) for seen in (latent, other))
    changed = (before != after).any(axis=(0, 1, 2))
    assert not changed[:56].any()
    assert changed[56:].any()


@pytest.mark.slow  # so that XLA compiles it; see conftest.py
def test_compiled_bits_are_those_of_plain_operations() -> None:
    rate = ContextRate(64)
    latent = np.random.default_rng(0).normal(0, 2, (1, 6, 6, 64)).astype(np.float32)
    given = (latent, np.ones((1, 1, 1, 64), np.float32), np.full((1, 1), 0.5, np.float32), latent)
    assert rate._bits != rate._count
    assert np.asarray(rate(*given)) == pytest.approx(np.asarray(rate._count(*given)), rel=1e-4, abs=1e-4)
