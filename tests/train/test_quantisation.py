"""Fake quantisation: values on the integer grid, and equalisation that changes nothing in float."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.train.networks import ENCODERS, build_encoder
from heliograph.train.quantisation import (
    SHARPER,
    ActivationRange,
    QuantisedConv2D,
    best_peaks,
    equalise,
)

SPEC = ENCODERS["microcontroller"].without_latent_copies()


def ranged(low: float, high: float) -> ActivationRange:
    layer = ActivationRange()
    layer.build((None, 1))
    layer.set_range(low, high)
    return layer


def test_a_one_sided_range_keeps_zero_and_its_end() -> None:
    layer = ranged(0.0, 2.55)
    values = np.array([[-1.0], [0.0], [0.014], [0.016], [2.55], [9.0]], np.float32)
    assert np.asarray(layer(values))[:, 0] == pytest.approx([0, 0, 0.01, 0.02, 2.55, 2.55], abs=1e-6)
    assert layer.scale == pytest.approx(0.01)


def test_a_two_sided_range_has_zero_point_zero() -> None:
    layer = ranged(-1.0, 0.2)
    assert float(layer.low.value) == pytest.approx(-1.0)
    assert float(layer.high.value) == pytest.approx(127 / 128)
    assert np.asarray(layer(np.zeros((1, 1), np.float32)))[0, 0] == 0


def test_kernels_have_127_values_either_side_of_zero() -> None:
    layer = QuantisedConv2D(1, 1)
    layer.build((None, 1, 1, 3))
    layer.kernel.assign(np.array([1.27, 0.0149, -0.0151], np.float32).reshape(1, 1, 3, 1))
    rounded = np.asarray(layer(np.eye(3, dtype=np.float32).reshape(1, 3, 1, 3)))
    assert rounded.reshape(-1) == pytest.approx([1.27, 0.01, -0.02], abs=1e-6)
    assert layer.weight_scales() == pytest.approx([0.01])


def test_the_best_range_of_few_values_is_their_peak_with_room_and_of_a_rare_one_less() -> None:
    values = np.random.default_rng(1).uniform(-1, 1, (200_000, 2)).astype(np.float32)
    values[0, 1] = 100.0
    flat, rare = best_peaks(values)
    assert flat == pytest.approx(SHARPER, rel=0.1)
    # (100 SHARPER - t)^2 / 200,000 + t^2 / (12 * 127^2) is least where its derivative is 0.
    assert rare == pytest.approx(100 * SHARPER / (1 + 200_000 / (12 * 127**2)), rel=0.1)


def test_equalising_changes_nothing_in_float_and_fills_the_range() -> None:
    images = np.random.default_rng(1).random((2, 64, 64, 3), np.float32)
    encoder = build_encoder(SPEC)
    before = np.asarray(encoder(images))
    unit = equalise(encoder, images, finest=np.zeros(SPEC.latent, np.float32))
    after = np.asarray(encoder(images))
    assert np.allclose(after * unit, before, atol=1e-4 * np.abs(before).max())
    peak = np.abs(after).reshape(-1, SPEC.latent).max(axis=0)
    assert peak.min() > 0.8 / SHARPER
    assert peak.max() < 1.5


def test_channels_with_coarse_steps_get_headroom() -> None:
    images = np.random.default_rng(1).random((2, 64, 64, 3), np.float32)
    encoder = build_encoder(SPEC)
    before = np.asarray(encoder(images))
    unit = equalise(encoder, images, finest=np.full(SPEC.latent, 1e6, np.float32))
    assert np.abs(np.asarray(encoder(images))).max() == pytest.approx(1 / (1.5 * SHARPER), rel=0.01)
    assert np.allclose(np.asarray(encoder(images)) * unit, before, atol=1e-4 * np.abs(before).max())
