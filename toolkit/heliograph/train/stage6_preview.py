"""Stage `preview`: the small decoder in float for two thirds of the budget, then quantised, then converted."""

from __future__ import annotations

import keras
import numpy as np

from heliograph.codec.tiles import STRIDE
from heliograph.train import checkpoint, loop
from heliograph.train import preview_network as preview
from heliograph.train.convert import convert_where_possible
from heliograph.train.latents import CROP, latent_crops
from heliograph.train.objective import DecoderObjective
from heliograph.train.quantisation import calibrate_ranges
from heliograph.train.run import File, Run
from heliograph.train.stage3_freeze import latent_unit
from heliograph.train.stage5_decoder import fitted_decoder

FLOAT_SHARE = 2 / 3  # of the budget


def train_preview(run: Run, budget: loop.Budget) -> None:
    """Train a run's preview decoder; leave File.PREVIEW."""
    keras.utils.set_random_seed(run.seed)
    channels, window = run.channels, CROP // STRIDE
    network = preview.build_preview(channels, window=window)
    crops = latent_crops(run, "preview")
    kernel, bias = fitted_decoder(run).get_layer("inverse").get_weights()
    preview.start(network, (kernel, bias), latent_unit(run), crops[0][0]["values"])
    first, second = budget.split(FLOAT_SHARE)
    loop.train(
        DecoderObjective(network),
        crops,
        run.path(File.PREVIEW_FLOAT),
        budget=first,
        peak=2 * run.learning_rate,
        resume=run.resume,
        scales=preview.LAYER_SCALES,
    )
    quantised = preview.build_preview(channels, quantised=True, window=window)
    values = np.concatenate([crops[i][0]["values"] for i in range(8)]).astype(np.float32)
    calibrate_ranges(network, quantised, values)
    loop.train(
        DecoderObjective(quantised),
        latent_crops(run, "preview_qat"),
        run.path(File.PREVIEW_QAT),
        budget=second,
        peak=run.learning_rate / 2,
        resume=run.resume,
        scales=preview.LAYER_SCALES,
    )
    checkpoint.save(run.path(File.PREVIEW_QUANTISED), quantised)
    convert_where_possible("preview", run.spec, run.path(File.PREVIEW_QUANTISED), run.path(File.PREVIEW))
