"""Stage `float`: encoder, steps, densities and decoder learn together, from a transform coder on."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from heliograph.server.network import build_decoder
from heliograph.train import checkpoint, loop, transform
from heliograph.train.networks import EncoderSpec, build_encoder
from heliograph.train.objective import LAMBDA_HIGH, LAMBDA_LOW, EncoderObjective, make_variables
from heliograph.train.run import File, Run

# Share of the learning rate for layers that read many positive inputs and write small outputs; see loop.Adam.
LAYER_SCALES = {"branch16": 0.15}


def start_model(
    encoder: keras.Model,
    decoder: keras.Model,
    spec: EncoderSpec,
    images: npt.NDArray[np.float32],
    *,
    seed: int,
    objective: type[EncoderObjective] = EncoderObjective,
    lambdas: tuple[float, float] = (LAMBDA_LOW, LAMBDA_HIGH),
) -> EncoderObjective:
    """Return freshly built networks set to a truncated DCT and its inverse, as one trainable model.

    Args:
        encoder: float, of `spec`, normalised.
        decoder: of the server.
        spec: the encoder's shape.
        images: float32 [N, H, W, 3] in [0, 1], pictures that deviations are measured on.
        seed: of the noise.
        objective, lambdas: what is minimised.
    """
    forward = transform.start_encoder(encoder, spec, images)
    latents = np.concatenate([np.asarray(encoder(images[i : i + 8])) for i in range(0, len(images), 8)])
    deviation = latents.reshape(-1, spec.latent).std(axis=0).astype(np.float32)
    transform.start_decoder(decoder, forward, deviation)
    model = objective(encoder, decoder, seed=seed, lambdas=lambdas)
    make_variables(model)
    model.start(deviation)
    return model


def _networks(run: Run) -> tuple[keras.Model, keras.Model]:
    """Return encoder and server decoder of a run's shapes, freshly initialised."""
    keras.utils.set_random_seed(run.seed)
    return build_encoder(run.spec, normalised=True), build_decoder(run.decoder, run.spec.latent)


def float_model(run: Run) -> EncoderObjective:
    """Return a run's model in float at its starting point."""
    return start_model(*_networks(run), run.spec, run.calibration(), seed=run.seed)


def trained_float_model(run: Run) -> EncoderObjective:
    """Return the model as the stage left it."""
    weights = run.need(File.FLOAT)
    model = EncoderObjective(*_networks(run), seed=run.seed)
    make_variables(model)
    checkpoint.load(weights, model)
    return model


def train_float(run: Run, budget: loop.Budget) -> EncoderObjective:
    """Train a run's model in float; leave File.FLOAT."""
    model = float_model(run)
    loop.train(
        model,
        run.crops("float"),
        run.path(File.FLOAT),
        budget=budget,
        peak=run.learning_rate,
        resume=run.resume,
        scales=LAYER_SCALES,
    )
    return model
