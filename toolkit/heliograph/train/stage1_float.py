"""Stage `float`: encoder, steps, contexts and decoder learn together for the eye, from a transform coder on."""

from __future__ import annotations

import keras
import numpy as np

from heliograph.server.network import build_decoder
from heliograph.train import checkpoint, loop, transform
from heliograph.train.networks import build_encoder
from heliograph.train.objective import Joint, make_variables
from heliograph.train.run import File, Run
from heliograph.train.validation import ClassCurve, class_crops

# Shares of the learning rate; see loop.Adam. Adam moves every weight by the rate whatever its size, and the linear path
# from pixels to pixels has to be exact to a percent for 40 dB. The last reads many positive inputs and writes small
# outputs.
LAYER_SCALES = {
    "chain2": 0.1,
    "chain4": 0.1,
    "chain8": 0.15,
    "latent": 0.2,
    "inverse": 0.15,
    "branch16": 0.2,
}


def new_model(run: Run) -> Joint:
    """Return a run's model, freshly initialised."""
    keras.utils.set_random_seed(run.seed)
    encoder = build_encoder(run.spec, normalised=True)
    model = Joint(encoder, build_decoder(run.joint_decoder, run.spec.latent), seed=run.seed)
    make_variables(model)
    return model


def float_model(run: Run) -> Joint:
    """Return a run's model at its starting point: a truncated DCT and its inverse, or the part of a finished codec."""
    model = new_model(run)
    if run.has(File.REDUCED):
        checkpoint.load(run.path(File.REDUCED), model)
        return model
    images = run.calibration()
    forward = transform.start_encoder(model.encoder, run.spec, images)
    latents = np.concatenate([np.asarray(model.encoder(images[i : i + 8])) for i in range(0, len(images), 8)])
    deviation = latents.reshape(-1, run.spec.latent).std(axis=0).astype(np.float32)
    transform.start_decoder(model.decoder, forward, deviation)
    model.start(deviation)
    return model


def trained_float_model(run: Run) -> Joint:
    """Return the model as the stage left it."""
    weights = run.need(File.FLOAT)
    model = new_model(run)
    checkpoint.load(weights, model)
    return model


def train_joint(model: Joint, run: Run, file: File, budget: loop.Budget, *, peak: float) -> None:
    """Train a model of encoder and decoder, with a curve of each class of pictures beside its log; leave `file`."""
    curve = run.log(file).with_suffix(".classes.csv")
    if not run.resume:
        curve.unlink(missing_ok=True)
    loop.train(
        model,
        run.crops(file.stage),
        run.path(file),
        budget=budget,
        peak=peak,
        resume=run.resume,
        scales=LAYER_SCALES,
        validate=ClassCurve(model, class_crops(*run.held_out(), run.size), curve),
    )


def train_float(run: Run, budget: loop.Budget) -> Joint:
    """Train a run's model in float; leave File.FLOAT."""
    model = new_model(run) if run.resume and run.has(File.FLOAT) else float_model(run)
    train_joint(model, run, File.FLOAT, budget, peak=run.learning_rate)
    return model
