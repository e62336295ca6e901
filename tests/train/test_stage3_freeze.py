"""Stage freeze: integer steps, and an encoder that Keras computes where there is no runtime."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.device import runtime
from heliograph.pictures import load_srgb
from heliograph.train.run import File, Run
from heliograph.train.stage3_freeze import (
    freeze,
    frozen_encoder,
    frozen_steps,
    integer_steps,
    latent_unit,
)


def test_steps_are_sixteenths_of_a_latent_unit() -> None:
    unit = np.array([1.0, 2.0, 4.0])  # 128 latent units are worth so much
    steps = integer_steps(np.array([[0.5, 0.5, 0.5]]), unit)
    assert steps.tolist() == [[1024, 512, 256]]


def test_steps_stay_in_range() -> None:
    assert integer_steps(np.array([[1e-6, 1e6]]), np.ones(2)).tolist() == [[16, 65535]]


def test_freezing_again_gives_the_same_files(finished_copy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.train.stage3_freeze.convert_where_possible", lambda *_: None)
    files = (File.ENCODER_WEIGHTS, File.FROZEN, File.STEPS, File.DECODER_START)
    before = []
    for file in files:
        with np.load(finished_copy.path(file)) as stored:
            before.append({k: stored[k] for k in stored.files})
        finished_copy.path(file).unlink()
    freeze(finished_copy)
    for file, arrays in zip(files, before, strict=True):
        with np.load(finished_copy.path(file)) as stored:
            assert all(np.array_equal(stored[k], arrays[k]) for k in stored.files)
    steps, unit = frozen_steps(finished_copy), latent_unit(finished_copy)
    assert steps.shape == (26, finished_copy.spec.latent)
    assert unit.shape == (finished_copy.spec.latent,)
    assert np.all(np.diff(steps.astype(int), axis=0) <= 0)  # the higher the quality, the finer


def test_without_a_runtime_the_encoder_is_computed_by_keras(
    finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = load_srgb(finished.photos / "astronaut.png")[:100, :200]
    real = frozen_encoder(finished)
    monkeypatch.setattr(runtime, "available", lambda: [])
    stand_in = frozen_encoder(finished)
    assert stand_in.runtime == "keras" != real.runtime
    expected, latents = real.units(picture), stand_in.units(picture)
    assert np.mean(expected == latents) > 0.99
    assert np.abs(expected.astype(int) - latents).max() <= 1
