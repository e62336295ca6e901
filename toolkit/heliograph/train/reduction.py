"""A smaller codec's start: the latents of a finished one that matter most, on a chain of fewer channels."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import numpy.typing as npt

from heliograph.codec.codec import Codec
from heliograph.train import transform
from heliograph.train.copies import mean_of_copies
from heliograph.train.existing import encoder_spec
from heliograph.train.networks import without_rounding
from heliograph.train.objective import Joint, linear_path
from heliograph.train.run import File, Run, kept_checkpoint
from heliograph.train.stage2_qat import stored_model

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
MIDDLE = 0.5  # quality at which an error of one step weighs alike in all latents
LEAST_SPREAD = 1e-3  # of the mean variance, for directions in which calibration pictures hardly differ
NUDGE = 0.25  # of a pixel, both ways, to see what it does to the latents


def linear_map(encoder: keras.Model, copies: object, unit: Array) -> tuple[Array, Array]:
    """Return what an encoder does to a block about mid-grey: float64 [C, 768] (y, x, rgb), and latents [C] of mid-grey.

    Args:
        encoder: plain.
        copies: of `mean_of_copies`.
        unit: float64 [C] that multiplies the latents.
    """

    def latents(blocks: npt.NDArray[np.float32]) -> Array:
        seen = np.asarray(mean_of_copies(encoder(blocks), copies), np.float64)
        return seen.reshape(-1, len(unit)) * unit

    pixels = np.eye(768, dtype=np.float32).reshape(768, 16, 16, 3) * np.float32(NUDGE)
    grey = np.full((1, 16, 16, 3), 0.5, np.float32)
    apart = (latents(grey + pixels) - latents(grey - pixels)) / (2 * NUDGE)
    return apart.T, latents(grey)[0]


def _kept(weight: Floats, like: Floats, kept: npt.NDArray[np.int64]) -> Floats:
    """Return weights of which those at `kept` are taken along each axis that is longer than in `like`."""
    for axis, (old, new) in enumerate(zip(weight.shape, like.shape, strict=True)):
        weight = weight.take(kept, axis=axis) if old != new else weight
    return weight


def _spread(images: npt.NDArray[np.float32]) -> Array:
    """Return the square root of the covariance of pictures' quadrants, float64 [192, 192]."""
    value, vector = np.linalg.eigh(np.cov(transform.quadrants(images).T))
    return np.asarray(vector * np.sqrt(np.maximum(value, LEAST_SPREAD * value.mean())) @ vector.T)


def reduce(codec: Codec, small: Joint, run: Run) -> None:
    """Set a model of fewer latents, without a branch, to the part of a finished codec's that matters most.

    Args:
        codec: keeps its checkpoint.
        small: in float, of the run's shape. Its contexts keep their first weights, but for the densities.
        run: whose calibration crops say what pictures are like.

    Raises:
        TrainingError: the checkpoint does not fit the codec.
    """
    spec = encoder_spec(codec)
    large = stored_model(kept_checkpoint(codec, File.QAT), replace(run, shape=spec))
    kept = np.sort(codec.coder.model.order[: run.spec.latent].astype(np.int64))
    plain = without_rounding(large.encoder, spec)
    forward, at_grey = linear_map(plain, large.copies, np.asarray(large.unit.value, np.float64))
    steps = np.asarray(large.steps(np.full((1, 1), MIDDLE, np.float32)))[0].astype(np.float64)
    images = run.calibration()
    wanted = forward[kept].reshape(-1, 16, 16, 3)
    transform.set_chain(small.encoder, run.spec, wanted, 1 / steps[kept], _spread(images))
    small.encoder.get_layer("latent").bias.assign(at_grey[kept].astype(np.float32))
    for layer in small.decoder.layers:
        if layer.weights:
            known = large.decoder.get_layer(layer.name).get_weights()
            pairs = zip(known, layer.get_weights(), strict=True)
            layer.set_weights([_kept(old, like, kept) for old, like in pairs])
    # What is left out counts as its mean.
    blocks = images.reshape(len(images), images.shape[1] // 16, 16, images.shape[2] // 16, 16, 3)
    usual = at_grey + forward @ (blocks.mean(axis=(0, 1, 3), dtype=np.float64).reshape(768) - 0.5)
    left_out = np.setdiff1d(np.arange(len(steps)), kept)
    bias = small.decoder.get_layer("inverse").bias
    bias.assign(np.asarray(bias) + (usual[left_out] @ linear_path(large)[left_out]).astype(np.float32))
    small.log_step.assign(np.asarray(large.log_step)[:, kept])
    for name in ("density_mean", "density_scale", "density_logit"):
        getattr(small.contexts, name).assign(np.asarray(getattr(large.contexts, name))[kept])
