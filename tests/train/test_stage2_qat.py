"""Stage qat: the start has room for what no photograph shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec import registry
from heliograph.errors import TrainingError
from heliograph.train import checkpoint
from heliograph.train.objective import copies_of
from heliograph.train.run import File, Run
from heliograph.train.stage2_qat import extremes, pure_colours, quantised_model, trained_model
from heliograph.train.start import write_start


def test_extremes_lie_nearer_to_grey_by_what_ranges_leave() -> None:
    assert np.unique(pure_colours(8)).tolist() == [0, 1]
    assert len(np.unique(pure_colours(8)[:, 0, 0], axis=0)) == 8
    assert np.unique(extremes()) == pytest.approx([0.5 - 0.5 / 1.2, 0.5 + 0.5 / 1.2])


def test_pure_colours_fit_the_ranges(finished: Run) -> None:
    model = quantised_model(finished)
    colours = np.array([[0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1]], np.float32)
    latents = np.asarray(model.latents(np.tile(colours[:, None, None], (1, 64, 64, 1))))
    shown = np.asarray(model.decoder([latents, np.ones((4, 1), np.float32)]))
    assert np.abs(shown.mean(axis=(1, 2)) - colours).max() < 0.05  # without room for them, 0.25


def test_the_stage_before_is_named(finished_copy: Run) -> None:
    finished_copy.path(File.FLOAT).unlink()
    with pytest.raises(TrainingError, match=r"float\.npz is missing: run stage float first"):
        quantised_model(finished_copy)
    finished_copy.path(File.QAT).unlink()
    with pytest.raises(TrainingError, match=r"qat\.npz is missing: run stage qat first \(--stage qat\)"):
        trained_model(finished_copy)


def test_the_codec_in_the_repository_is_a_start(tmp_path: Path) -> None:
    codec = registry.open_codec("accelerator")
    kept = codec.folder / "training/qat.npz"
    run = Run("accelerator", tmp_path, tmp_path)
    write_start(codec, run)
    assert next(iter(run.shares())) == "qat"
    model = quantised_model(run)
    with np.load(kept) as stored:
        kernel = stored["0:chain8/kernel"].astype(np.float32)
    assert np.array_equal(np.asarray(model.encoder.get_layer("chain8").kernel), kernel)
    colour = np.broadcast_to(np.array([0.2, 0.5, 0.4], np.float32), (1, 64, 64, 3))
    shown = np.asarray(model.decoder([np.asarray(model.latents(colour)), np.ones((1, 1), np.float32)]))
    assert np.abs(shown.mean(axis=(1, 2)) - colour[:, 0, 0]).max() < 2 / 255


def test_a_start_without_copies_of_latents_gets_them(finished: Run, tmp_path: Path) -> None:
    shape, run = finished.spec, replace(finished, folder=tmp_path)
    before = quantised_model(replace(finished, shape=shape.without_latent_copies()))
    checkpoint.save(run.path(File.START), before)
    after = quantised_model(run)
    assert after.encoder.output.shape[-1] == shape.outputs == shape.latent + 32
    picture = np.random.default_rng(1).random((1, 64, 64, 3)).astype(np.float32)
    found = [np.asarray(model.latents(picture) / model.unit) * 128 for model in (before, after)]
    copied = np.unique(copies_of(after))
    assert np.array_equal(np.delete(found[0], copied, -1), np.delete(found[1], copied, -1))
    apart = np.abs(found[0] - found[1])[..., copied]
    assert 0.1 < apart.mean() < apart.max() <= 1  # rounded to units, and to halves or quarters of them
    checkpoint.save(run.path(File.START), after)
    assert np.array_equal(
        np.asarray(quantised_model(run).latents(picture)), np.asarray(after.latents(picture))
    )
