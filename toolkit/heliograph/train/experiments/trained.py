"""A codec's encoder as its training run left it: fake-quantised and in float, for comparison with int8."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec.codec import Codec, sha256
from heliograph.errors import TrainingError
from heliograph.measure.runner import Latents, Picture, Runner, Tile, tiled

CHECKPOINT = "encoder.npz"  # what stage `freeze` converted


class _Trained:
    """A Keras encoder that is built when first needed, run on the device's tiles."""

    def __init__(self, codec: Codec, checkpoint: Path, *, quantised: bool) -> None:
        self._codec, self._checkpoint, self._quantised = codec, checkpoint, quantised

    @cached_property
    def _model(self) -> Any:
        from heliograph.train import convert, loop
        from heliograph.train.networks import ENCODERS, build_encoder

        if self._codec.name not in ENCODERS:
            raise TrainingError(
                f"codec {self._codec.name} is of no known architecture: expected one of {', '.join(ENCODERS)}"
            )
        if self._quantised:
            return convert.build("encoder", self._codec.name, self._checkpoint)
        model = build_encoder(ENCODERS[self._codec.name], tile=self._codec.tile)
        loop.load_weights(self._checkpoint, model)
        return model

    def _run(self, tile: Tile) -> Latents:
        from heliograph.train.quantisation import LATENT_SCALE

        pixels = ((tile[None].astype(np.float32) + 128) / np.float32(255)).astype(np.float32)
        real: npt.NDArray[np.float32] = np.asarray(self._model(pixels))[0]
        return np.asarray(np.clip(np.round(real / LATENT_SCALE), -128, 127), np.int8)

    def latents(self, picture: Picture) -> Latents:
        """Return the latents, rounded to int8 at the end."""
        return tiled(self._codec, self._run, picture)


def runners(codec: Codec, run: Path) -> list[Runner]:
    """Return runners of a run's encoder: fake-quantised, and the same weights in float, rounded at the end only.

    Raises:
        TrainingError: the run has no checkpoint; as they run, also of an architecture that is not known here.
    """
    checkpoint = run / CHECKPOINT
    if not checkpoint.is_file():
        raise TrainingError(f"{checkpoint} is missing: give the folder of a finished training run with --run")
    digest = sha256(checkpoint.read_bytes())[:16]

    def one(name: str, note: str, *, quantised: bool) -> Runner:
        latents: Callable[[Picture], Latents] = _Trained(codec, checkpoint, quantised=quantised).latents
        return Runner(name, f"{name} {digest}", note, latents)

    return [
        one("fake-quantised", "the trained network as its training saw int8", quantised=True),
        one("float", "the same weights in float32; only the latents are rounded", quantised=False),
    ]
