"""The objective of the decoders fitted on a frozen encoder: distortion only, weighted over qualities."""

from __future__ import annotations

import keras
from keras import ops

from heliograph.train.objective import Objective, Tensor
from heliograph.train.rate_distortion import LAMBDA_LOW, lagrangian


class Reconstruction(Objective):
    """A decoder as a trainable model.

    Called with what `LatentCrops` yields it returns loss, no bits and MSE of each crop. The weight
    sqrt(lambda) is what remains of the rate–distortion objective once the rate is fixed.
    """

    def __init__(self, decoder: keras.Model) -> None:
        super().__init__("reconstruction")
        self.decoder = decoder

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        image = ops.cast(inputs["image"], "float32") / 255.0
        quality = inputs["quality"]
        takes_quality = len(self.decoder.inputs) == 2
        given = [inputs["values"], quality] if takes_quality else inputs["values"]
        picture = ops.cast(self.decoder(given), "float32")
        mse = ops.mean(ops.square(picture - image), axis=(1, 2, 3))
        weight = ops.sqrt(lagrangian(quality)[:, 0] * LAMBDA_LOW)
        return ops.stack([255.0**2 * weight * mse, ops.zeros_like(mse), mse], axis=-1)
