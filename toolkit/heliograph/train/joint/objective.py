"""Encoder, steps, contexts and decoder trained together for what the eye sees."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from heliograph.train.joint.contexts import ContextRate
from heliograph.train.joint.perception import distortion
from heliograph.train.objective import Objective, Tensor

LAMBDAS = (0.0003, 0.35)  # at quality 0 and 1
ANCHORS = 10  # vectors of steps; qualities between two interpolate their logarithms


class Joint(Objective):
    """Rate with contexts plus distortion to the eye, all qualities in one model.

    Called with {"image": uint8 [B, H, W, 3], "quality": [B, 1]} it returns float32 [B, 3]: loss, bits per
    pixel and MSE (pictures in [0, 1]) of each crop.
    """

    def __init__(self, encoder: keras.Model, decoder: keras.Model, *, seed: int) -> None:
        super().__init__("joint")
        self.encoder, self.decoder = encoder, decoder
        channels = encoder.output.shape[-1]
        self.log_step = self.add_weight(shape=(ANCHORS, channels), initializer="zeros", name="log_step")
        self.contexts = ContextRate(channels, name="contexts")
        self.seeds = keras.random.SeedGenerator(seed, name="noise")

    def steps(self, quality: Tensor) -> Tensor:
        """Return step sizes float32 [B, C] for qualities [B, 1]."""
        place = ops.cast(quality, "float32") * (ANCHORS - 1)
        weight = ops.maximum(0.0, 1.0 - ops.abs(place - ops.arange(ANCHORS, dtype="float32")[None, :]))
        return ops.exp(ops.matmul(weight, self.log_step))

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        image = ops.cast(inputs["image"], "float32") / 255.0
        quality = ops.cast(inputs["quality"], "float32")
        y = self.encoder(image, training=training)
        step = self.steps(quality)[:, None, None, :]
        ratio = y / step
        noise = keras.random.uniform(ops.shape(ratio), -0.5, 0.5, seed=self.seeds)
        shown = ratio + ops.stop_gradient(ops.round(ratio) - ratio)
        bits = self.contexts((ratio + noise) * step, step, quality, y)
        picture = ops.cast(self.decoder([shown * step, quality]), "float32")
        bpp = ops.sum(bits, axis=(1, 2, 3)) / float(np.prod(image.shape[1:3]))
        low, high = LAMBDAS
        relative = ops.exp(quality[:, 0] * float(np.log(high / low)))
        loss = (low * relative * distortion(picture, image) + bpp) / ops.sqrt(relative)
        mse = ops.mean(ops.square(picture - image), axis=(1, 2, 3))
        return ops.stack([loss, bpp, mse], axis=-1)
