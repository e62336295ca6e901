"""Stage freeze: integer steps, and an encoder that Keras computes where there is no runtime."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device import runtime
from heliograph.device.encoder import Encoder
from heliograph.pictures import load_srgb
from heliograph.train import checkpoint
from heliograph.train.assembly import assemble
from heliograph.train.existing import encoder_spec
from heliograph.train.networks import build_encoder, fold_normalisation
from heliograph.train.run import File, Run
from heliograph.train.stage1_float import trained_float_model
from heliograph.train.stage2_qat import quantise
from heliograph.train.stage3_freeze import (
    freeze,
    frozen_encoder,
    frozen_steps,
    integer_steps,
    latent_copies,
    latent_unit,
)


def test_steps_are_sixteenths_of_a_latent_unit() -> None:
    unit = np.array([1.0, 2.0, 4.0])  # 128 latent units are worth so much
    steps = integer_steps(np.array([[0.5, 0.5, 0.5]]), unit)
    assert steps.tolist() == [[1024, 512, 256]]


def test_steps_stay_in_range() -> None:
    assert integer_steps(np.array([[1e-6, 1e6]]), np.ones(2)).tolist() == [[16, 65535]]


def test_steps_of_copies_are_parts_of_a_unit() -> None:
    steps = integer_steps(np.full((1, 3), 1e-6), np.ones(3), (1, 2, 2, 2))
    assert steps.tolist() == [[16, 8, 4]]


@pytest.mark.slow
def test_copies_of_latents_reach_the_codec(finished_copy: Run) -> None:
    """Quantised anew with copies, frozen and converted: the codec's latents are nearer to the float network's."""
    model = trained_float_model(finished_copy)
    plain = fold_normalisation(model.encoder, finished_copy.spec)
    picture = load_srgb(finished_copy.photos / "astronaut.png")[:256, :256]
    expected = np.asarray(plain(picture[None].astype(np.float32) / 255))[0]
    apart = []
    for count in (0, 32):
        run = replace(finished_copy, shape=replace(finished_copy.spec, copies=(12, 32, 48, count)))
        encoder = build_encoder(run.spec.without_copies())
        encoder.set_weights(plain.get_weights())
        checkpoint.save(run.path(File.QAT), quantise(model, encoder, run))
        freeze(run)
        copies, frozen = latent_copies(run), frozen_encoder(run)
        assert len(copies) == count
        assert frozen.units(picture).shape == (16, 16, run.spec.latent + count)
        latents = frozen.latents(picture) / 2048 * latent_unit(run)
        chosen = np.unique(copies) if count else slice(None)
        apart.append(np.square(latents - expected).mean(axis=(0, 1)))
    assert apart[1][chosen].sum() < apart[0][chosen].sum()
    codec = Codec(assemble(run))
    assert codec.copies == copies
    assert encoder_spec(codec) == run.spec
    data = Encoder(codec).encode(picture, Rate(quality=90))
    assert decode_stream(data, codec).values.any()


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
