"""A device's encoder computed by Keras, where no TFLite runtime is installed or float is to be compared with int8."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from heliograph.train import checkpoint
from heliograph.train.networks import EncoderSpec, build_encoder
from heliograph.train.quantisation import LATENT_SCALE, snap_biases


class KerasNetwork:
    """An encoder as a function of one int8 tile, for `LatentEncoder`; its latents are rounded to int8 at the end.

    Args:
        network: encoder of `build_encoder` with a static tile.
    """

    runtime = "keras"

    def __init__(self, network: keras.Model) -> None:
        self._network = network
        self.input_shape = tuple(network.input.shape[1:])
        self.output_shape = tuple(network.output.shape[1:])

    @classmethod
    def quantised(cls, spec: EncoderSpec, weights: Path) -> KerasNetwork:
        """Return the fake-quantised encoder that stage `freeze` left, equal to the .tflite in nearly all latents.

        Conversion checks in how many (`train.convert.check_agreement`). Fit for training; what is measured or
        shipped comes from the .tflite model.

        Args:
            spec: the encoder's shape.
            weights: checkpoint of the encoder.
        """
        network = build_encoder(spec, quantised=True, tile=spec.tile)
        checkpoint.load(weights, network)
        snap_biases(network)
        return cls(network)

    @classmethod
    def plain(cls, spec: EncoderSpec, weights: Path) -> KerasNetwork:
        """Return the same encoder in float32, without its inner roundings; arguments as for `quantised`."""
        network = build_encoder(spec, tile=spec.tile)
        checkpoint.load(weights, network)
        return cls(network)

    def __call__(self, tile: npt.NDArray[np.int8], /) -> npt.NDArray[np.int8]:
        """Return the latents int8 [T/16, T/16, C] of a tile int8 [T, T, 3]."""
        image = (tile[None].astype(np.float32) + np.float32(128)) / np.float32(255)
        latents = np.asarray(self._network.predict_on_batch(image))[0]  # in [-1, 1)
        return np.asarray(np.clip(np.round(latents / LATENT_SCALE), -128, 127), np.int8)
