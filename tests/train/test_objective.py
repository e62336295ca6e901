"""Encoder, steps, contexts and decoder as one model: what its loss is made of, and what decoders minimise."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from heliograph.server.network import DecoderSpec, build_decoder
from heliograph.train import objective
from heliograph.train.networks import EncoderSpec, build_encoder
from heliograph.train.objective import DecoderObjective, Joint, make_variables
from heliograph.train.perception import distortion

SMALL = EncoderSpec(middle=24, latent=64, pooled=4, squeezed=8, mixed=8, tile=96)
DECODER = DecoderSpec(widths=(16, 8, 8, 8), blocks=(1, 1, 1, 1))


@pytest.fixture(scope="module")
def model() -> Joint:
    keras.utils.set_random_seed(1)
    made = Joint(build_encoder(SMALL, normalised=True), build_decoder(DECODER, SMALL.latent), seed=1)
    make_variables(made)
    return made


def crops() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (2, 96, 96, 3), np.uint8)


def test_the_loss_is_bits_and_what_the_eye_loses(model: Joint) -> None:
    images, quality = crops(), np.array([[0.0], [1.0]], np.float32)
    loss, bpp, mse = np.asarray(model({"image": images, "quality": quality}, training=False)).T
    pictures = (images / 255).astype(np.float32)
    step = np.asarray(model.steps(quality))[:, None, None]
    latents = np.asarray(model.encoder(pictures))
    shown = np.asarray(model.decoder([np.round(latents / step) * step, quality]))
    assert mse == pytest.approx(np.square(shown - pictures).mean(axis=(1, 2, 3)), rel=1e-3)
    lost = np.asarray(distortion(shown, pictures))
    low, high = objective.LAMBDAS
    assert loss[0] == pytest.approx(low * lost[0] + bpp[0], rel=1e-3)
    assert loss[1] == pytest.approx((high * lost[1] + bpp[1]) / (high / low) ** 0.5, rel=1e-3)


def test_bits_are_counted_under_noise_in_training_only(model: Joint) -> None:
    given = {"image": crops(), "quality": np.full((2, 1), 0.5, np.float32)}
    still = [np.asarray(model(given, training=False))[:, 1] for _ in range(2)]
    noisy = [np.asarray(model(given, training=True))[:, 1] for _ in range(2)]
    assert np.array_equal(still[0], still[1])
    assert not np.array_equal(noisy[0], noisy[1])


def test_qualities_span_the_lambdas_and_steps_interpolate(model: Joint) -> None:
    before = np.asarray(model.log_step)
    model.log_step.assign(np.tile(np.arange(objective.ANCHORS, dtype=np.float32)[:, None], (1, SMALL.latent)))
    middle = np.asarray(model.steps(np.array([[0.5]], np.float32)))
    model.log_step.assign(before)
    assert middle == pytest.approx(np.full((1, SMALL.latent), np.exp(4.5)), rel=1e-5)
    ends = np.asarray(objective.lagrangian(np.array([0.0, 1.0], np.float32)))
    assert ends == pytest.approx(objective.LAMBDAS)


def test_first_steps_balance_rate_and_squared_error() -> None:
    steps = np.exp(objective.first_steps(2))
    # 2 ln 2 * step^2 / 12 * 255^2 / 3 * lambda = 1 / 2: a bit more or less of a coefficient costs what it saves
    assert steps[0, 0] ** 2 * 2 * np.log(2) * 255**2 * objective.LAMBDAS[0] == pytest.approx(36)
    assert np.all(np.diff(steps[:, 1]) < 0)


def test_a_unit_multiplies_the_latents() -> None:
    network = build_encoder(SMALL, normalised=True)
    model = Joint(network, build_decoder(DECODER, SMALL.latent), seed=1, has_unit=True)
    make_variables(model)
    assert model.unit is not None
    model.unit.assign(np.full(SMALL.latent, 3, np.float32))
    pictures = (crops() / 255).astype(np.float32)
    assert np.asarray(model.latents(pictures)) == pytest.approx(3 * np.asarray(network(pictures)), rel=1e-5)
    assert "unit" not in [v.path.split("/")[-1] for v in model.trainable_variables]


def test_a_decoder_minimises_what_the_eye_loses() -> None:
    decoder = build_decoder(DECODER, SMALL.latent)
    images, quality = crops(), np.array([[0.0], [1.0]], np.float32)
    values = np.random.default_rng(4).normal(0, 0.1, (2, 6, 6, SMALL.latent)).astype(np.float32)
    given = {"values": values, "image": images, "quality": quality}
    loss, bpp, _ = np.asarray(DecoderObjective(decoder)(given)).T
    lost = np.asarray(distortion(decoder([values, quality]), (images / 255).astype(np.float32)))
    low, high = objective.LAMBDAS
    assert loss == pytest.approx(lost * [low, (low * high) ** 0.5], rel=1e-3)
    assert not bpp.any()
