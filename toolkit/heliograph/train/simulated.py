"""The frozen int8 encoder as its fake-quantised original, where no TFLite runtime is installed: on a GPU machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.device.encoder import LatentEncoder
from heliograph.train import loop
from heliograph.train.networks import ENCODERS, build_encoder
from heliograph.train.quantisation import LATENT_SCALE, snap_biases


class SimulatedEncoder(LatentEncoder):
    """A codec's encoder computed by Keras: equal to the .tflite model in all but a few of 10,000 latents.

    Conversion checks how many (`train.convert.check_agreement`). Fit for training; what is measured or shipped comes
    from the .tflite model.

    Args:
        codec: key of ENCODERS.
        weights: `encoder.npz`, which stage `freeze` writes.
    """

    def __init__(self, codec: str, weights: Path) -> None:
        spec = ENCODERS[codec]
        self.tile, self.channels, self.runtime = spec.tile, spec.latent, "keras"
        self._network = build_encoder(spec, quantised=True, tile=spec.tile)
        loop.load_weights(weights, self._network)
        snap_biases(self._network)
        self._model = self._run

    def _run(self, tile: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        image = (tile[None].astype(np.float32) + np.float32(128)) / np.float32(255)
        latents = np.asarray(self._network.predict_on_batch(image))[0]  # [tile/16, tile/16, C] in [-1, 1)
        return np.asarray(np.clip(np.round(latents / LATENT_SCALE), -128, 127), np.int8)
