"""Stage decoder: it learns on dequantised latents of whole pictures, from where freezing left it."""

from __future__ import annotations

import numpy as np

from heliograph.train.latents import latent_crops
from heliograph.train.loop import Budget
from heliograph.train.run import File, Run, effort
from heliograph.train.stage3_freeze import frozen_steps
from heliograph.train.stage5_decoder import fitted_decoder, train_decoder


def test_crops_are_multiples_of_the_steps(finished: Run) -> None:
    inputs, _ = latent_crops(finished, "decoder")[0]
    assert inputs["values"].shape == (1, 12, 12, finished.spec.latent)
    assert inputs["image"].shape == (1, 192, 192, 3)
    sixteenths = inputs["values"] * 128 * 16
    assert np.array_equal(sixteenths, np.round(sixteenths))
    levels = np.unique(np.abs(sixteenths[..., 0]))
    finest = int(frozen_steps(finished)[:, 0].min())
    assert levels[levels > 0].min() >= finest


def test_the_stage_begins_anew_or_goes_on(finished_copy: Run) -> None:
    before = [np.asarray(w) for w in fitted_decoder(finished_copy).get_weights()]
    finished_copy.log(File.DECODER).unlink()
    train_decoder(finished_copy, Budget(0, 1))
    assert effort(finished_copy.log(File.DECODER))["steps"] == 1
    after = [np.asarray(w) for w in fitted_decoder(finished_copy).get_weights()]
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
