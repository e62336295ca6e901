"""The stages in which the encoder learns: float rate–distortion training, then quantisation-aware training."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from heliograph.server.network import DecoderSpec, build_decoder
from heliograph.train import loop, transform
from heliograph.train.data import Crops
from heliograph.train.networks import ENCODERS, build_encoder, fold_normalisation
from heliograph.train.quantisation import SHARPER, calibrate_ranges, equalise
from heliograph.train.rate_distortion import RateDistortion

START = "start.npz"  # a run's starting point for stage `qat` where it began at a finished codec
ORIGIN = "start.json"  # which codec that was, and its recipe
STEPS_PER_ROUND = 200  # steps between two log lines
CALIBRATION_CROPS = 128
# Share of the learning rate for layers that read many positive inputs and write small outputs; see loop.Adam.
LAYER_SCALES = {"branch16": 0.15}


@dataclass(frozen=True)
class Plan:
    """What a training run is given: the codec's name, folders, seed, batch and budgets."""

    codec: str
    photos: Path
    out: Path
    seed: int = 1
    batch: int = 8
    size: int = 128
    learning_rate: float = 1e-3
    table_pictures: int = 300  # photographs whose latents the entropy tables are counted on
    decoder: DecoderSpec = field(default_factory=DecoderSpec)

    def crops(self, stage: int, *, batch: int | None = None, size: int | None = None) -> Crops:
        """Return the supply of crops of a stage; every stage draws its own."""
        return Crops(
            self.photos,
            batch=batch or self.batch,
            size=size or self.size,
            steps=STEPS_PER_ROUND,
            seed=self.seed * 100 + stage,
        )

    def calibration(self) -> npt.NDArray[np.float32]:
        """Return the crops that ranges are calibrated on, float32 [N, 256, 256, 3] in [0, 1]."""
        data = self.crops(9, batch=8, size=256)
        picked = [data[i][0]["image"] for i in range(CALIBRATION_CROPS // 8)]
        return (np.concatenate(picked) / np.float32(255)).astype(np.float32)


def extremes() -> npt.NDArray[np.float32]:
    """Return solid crops of the colour cube's corners, float32 [8, 256, 256, 3] in [0, 1].

    Photographs have no pure colours: ranges that were calibrated on them alone clipped a green of 255 to 187.
    They lie nearer to grey by what ranges leave for sharper pictures.
    """
    return (0.5 + (pure_colours(256) - 0.5) / SHARPER).astype(np.float32)


def pure_colours(side: int) -> npt.NDArray[np.float32]:
    """Return solid pictures of the colour cube's corners, float32 [8, side, side, 3] in [0, 1]."""
    corners = np.array(list(itertools.product((0, 1), repeat=3)), np.float32)
    return np.tile(corners[:, None, None, :], (1, side, side, 1))


def float_model(plan: Plan) -> RateDistortion:
    """Return the float rate–distortion model at its starting point (truncated DCT and its inverse)."""
    keras.utils.set_random_seed(plan.seed)
    spec = ENCODERS[plan.codec]
    encoder = build_encoder(spec, normalised=True)
    decoder = build_decoder(plan.decoder, spec.latent)
    images = plan.calibration()
    forward = transform.start_encoder(encoder, spec, images)
    latents = np.concatenate([np.asarray(encoder(images[i : i + 8])) for i in range(0, len(images), 8)])
    deviation = latents.reshape(-1, spec.latent).std(axis=0).astype(np.float32)
    transform.start_decoder(decoder, forward, deviation)
    model = RateDistortion(encoder, decoder, seed=plan.seed)
    build(model)
    model.start(deviation)
    return model


def build(model: RateDistortion) -> None:
    """Make a model's variables by calling it once."""
    model({"image": np.zeros((1, 64, 64, 3), np.uint8), "quality": np.zeros((1, 1), np.float32)})


def train_float(plan: Plan, budget: loop.Budget, *, resume: bool) -> RateDistortion:
    """Stage `float`: rate–distortion training of encoder, steps, densities and decoder together."""
    model = float_model(plan)
    loop.train(
        model,
        plan.crops(1),
        stage="float",
        out=plan.out,
        budget=budget,
        peak=plan.learning_rate,
        resume=resume,
        scales=LAYER_SCALES,
    )
    return model


def begins_at_codec(plan: Plan) -> bool:
    """Return whether a run began at a finished codec and has no stage `float`."""
    return (plan.out / START).is_file()


def quantised_model(plan: Plan) -> RateDistortion:
    """Return the model of stage `qat` at its start: the float checkpoint, equalised, with calibrated ranges.

    Without further training this is the post-training-quantised baseline. A run that began at a finished codec has
    that start instead.
    """
    if begins_at_codec(plan):
        spec = ENCODERS[plan.codec]
        started = RateDistortion(
            build_encoder(spec, quantised=True), build_decoder(plan.decoder, spec.latent), seed=plan.seed
        )
        build(started)
        loop.load_weights(plan.out / START, started)
        return started
    model = float_model(plan)
    loop.load_weights(plan.out / "float.npz", model)
    return quantise(model, fold_normalisation(model.encoder, ENCODERS[plan.codec]), plan)


def quantise(model: RateDistortion, encoder: keras.Model, plan: Plan) -> RateDistortion:
    """Return a float model with its encoder, given in plain form and equalised in place, fake-quantised."""
    images = np.concatenate([plan.calibration(), extremes()])
    finest = np.asarray(model.steps(np.ones((1, 1), np.float32)))[0]
    unit = equalise(encoder, images, finest)
    quantised = build_encoder(ENCODERS[plan.codec], quantised=True)
    calibrate_ranges(encoder, quantised, images)
    twin = RateDistortion(quantised, model.decoder, seed=plan.seed)
    build(twin)
    twin.log_step.assign(model.log_step)
    twin.density.assign(model.density)
    twin.unit.assign(unit)
    return twin


def train_qat(plan: Plan, budget: loop.Budget, *, resume: bool) -> RateDistortion:
    """Stage `qat`: the same training with the encoder fake-quantised."""
    model = quantised_model(plan)
    loop.train(
        model,
        plan.crops(2),
        stage="qat",
        out=plan.out,
        budget=budget,
        peak=plan.learning_rate / (2 if begins_at_codec(plan) else 4),
        resume=resume,
        scales=LAYER_SCALES,
    )
    return model
