"""Stage `qat`: the same training on, with the encoder's roundings in place (quantisation-aware training)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from heliograph.server.network import build_decoder
from heliograph.train import checkpoint, loop
from heliograph.train.copies import with_copies, with_latent_copies
from heliograph.train.networks import build_encoder, fold_normalisation, without_rounding
from heliograph.train.objective import Joint, linear_path, make_variables
from heliograph.train.quantisation import SHARPER, ActivationRange, calibrate_ranges, equalise
from heliograph.train.run import File, Run
from heliograph.train.stage1_float import train_joint, trained_float_model


def pure_colours(side: int) -> npt.NDArray[np.float32]:
    """Return solid pictures of the colour cube's corners, float32 [8, side, side, 3] in [0, 1]."""
    corners = np.array(list(itertools.product((0, 1), repeat=3)), np.float32)
    return np.tile(corners[:, None, None, :], (1, side, side, 1))


def extremes() -> npt.NDArray[np.float32]:
    """Return solid crops of the colour cube's corners, float32 [8, 256, 256, 3] in [0, 1].

    Photographs have no pure colours: ranges that were calibrated on them alone clipped a green of 255 to 187.
    They lie nearer to grey by what ranges leave for sharper pictures.
    """
    return (0.5 + (pure_colours(256) - 0.5) / SHARPER).astype(np.float32)


def quantise(model: Joint, encoder: keras.Model, run: Run) -> Joint:
    """Return a float model with its encoder, given in plain form, fake-quantised; that is equalised in place."""
    images = np.concatenate([run.calibration(), extremes()])
    finest = np.asarray(model.steps(np.ones((1, 1), np.float32)))[0]
    unit = equalise(encoder, images, finest)
    quantised = build_encoder(run.spec, quantised=True)
    copied, copies = with_copies(encoder, run.spec, unit[:, None] * linear_path(model))
    calibrate_ranges(copied, quantised, images)
    return _twin(model, quantised, unit, copies, run)


def _twin(
    model: Joint,
    encoder: keras.Model,
    unit: npt.NDArray[np.float32],
    copies: npt.NDArray[np.int64],
    run: Run,
) -> Joint:
    """Return a model with another encoder and its unit, and the rest of a known one."""
    twin = Joint(encoder, model.decoder, seed=run.seed, has_unit=True, copies=len(copies))
    make_variables(twin)
    if len(copies):
        twin.copies.assign(copies)
    twin.log_step.assign(model.log_step)
    twin.unit.assign(unit)
    for own, known in zip(twin.contexts.variables, model.contexts.variables, strict=True):
        own.assign(known)
    return twin


def stored_model(weights: Path, run: Run) -> Joint:
    """Return the model of a run's shape that a checkpoint of the stage holds, ranges and all."""
    encoder = build_encoder(run.spec, quantised=True)
    decoder = build_decoder(run.joint_decoder, run.spec.latent)
    model = Joint(encoder, decoder, seed=run.seed, has_unit=True, copies=run.spec.copies[3])
    make_variables(model)
    checkpoint.load(weights, model)
    return model


def _started_model(run: Run) -> Joint:
    """Return the model of a run's start. Latents that have no copies there get those of the run's shape."""
    if not run.spec.copies[3] or checkpoint.holds(run.need(File.START), "joint/copies"):
        return stored_model(run.path(File.START), run)
    model = stored_model(run.path(File.START), replace(run, shape=run.spec.without_latent_copies()))
    unit = np.asarray(model.unit.value)
    plain = without_rounding(model.encoder, run.spec.without_latent_copies())
    copied, copies = with_latent_copies(plain, run.spec, unit[:, None] * linear_path(model))
    quantised = build_encoder(run.spec, quantised=True)
    for layer in quantised.layers:
        known = model.encoder if isinstance(layer, ActivationRange) else copied
        if layer.weights:
            layer.set_weights(known.get_layer(layer.name).get_weights())
    return _twin(model, quantised, unit, copies, run)


def quantised_model(run: Run) -> Joint:
    """Return the stage's model at its start: the float checkpoint, equalised, with calibrated ranges.

    Without further training this is the post-training-quantised baseline. A run that began at a finished codec has
    that start instead.
    """
    if run.begins_at_codec:
        return _started_model(run)
    model = trained_float_model(run)
    return quantise(model, fold_normalisation(model.encoder, run.spec), run)


def trained_model(run: Run) -> Joint:
    """Return the model as the stage left it."""
    return stored_model(run.need(File.QAT), run)


def train_qat(run: Run, budget: loop.Budget) -> Joint:
    """Train a run's model with the encoder fake-quantised; leave File.QAT."""
    model = (
        stored_model(run.path(File.QAT), run) if run.resume and run.has(File.QAT) else quantised_model(run)
    )
    train_joint(model, run, File.QAT, budget, peak=run.learning_rate / (1 if run.begins_at_codec else 2))
    return model
