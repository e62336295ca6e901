"""Stage decoder: it learns on dequantised latents of whole pictures, from where freezing left it."""

from __future__ import annotations

import numpy as np

from heliograph.codec.contexts import steps_by_position
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.levels import LEVEL_0
from heliograph.train.latents import latent_crops
from heliograph.train.loop import Budget
from heliograph.train.run import File, Run, effort
from heliograph.train.stage5_decoder import fitted_decoder, train_decoder


def test_crops_are_as_streams_leave_them(finished: Run) -> None:
    inputs, _ = latent_crops(finished, "decoder")[0]
    assert inputs["values"].shape == (1, 12, 12, finished.spec.latent)
    assert inputs["image"].shape == (1, 192, 192, 3)
    sixteenths = inputs["values"] * 128 * 16
    assert np.array_equal(sixteenths, np.round(sixteenths))
    model = EntropyModel.from_bytes(finished.need(File.ENTROPY).read_bytes())
    values = sixteenths[0][..., model.order].astype(np.int16)
    steps = steps_by_position(model, values, LEVEL_0 + round(float(inputs["quality"][0, 0]) * 800))
    last, step = values[..., -1], steps[..., -1]  # is not predicted, so its values are multiples of its step
    inside = np.abs(last) < 2047
    assert not (last[inside] % step[inside]).any()


def test_the_stage_begins_anew_or_goes_on(finished_copy: Run) -> None:
    before = [np.asarray(w) for w in fitted_decoder(finished_copy).get_weights()]
    finished_copy.log(File.DECODER).unlink()
    train_decoder(finished_copy, Budget(0, 1))
    assert effort(finished_copy.log(File.DECODER))["steps"] == 1
    after = [np.asarray(w) for w in fitted_decoder(finished_copy).get_weights()]
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
