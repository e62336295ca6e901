"""A codec's encoder as its training run left it: fake-quantised and in float, for comparison with int8."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from heliograph.codec.codec import Codec, sha256
from heliograph.device.encoder import LatentEncoder
from heliograph.errors import TrainingError
from heliograph.measure.runner import Picture, Runner, Units
from heliograph.train.existing import encoder_spec
from heliograph.train.networks import EncoderSpec
from heliograph.train.run import File
from heliograph.train.simulated import KerasNetwork


def runners(codec: Codec, folder: Path) -> list[Runner]:
    """Return runners of a run's encoder: fake-quantised, and the same weights in float, rounded at the end only.

    Networks are built when a runner is first used.

    Raises:
        TrainingError: the run has no checkpoint; as they run, also of an encoder that is not built here.
    """
    checkpoint = folder / File.ENCODER_WEIGHTS.filename
    if not checkpoint.is_file():
        raise TrainingError(f"{checkpoint} is missing: give the folder of a finished training run with --run")
    digest = sha256(checkpoint.read_bytes())[:16]

    def runner(name: str, note: str, build: Callable[[EncoderSpec, Path], KerasNetwork]) -> Runner:
        @cache
        def encoder() -> LatentEncoder:
            network = build(encoder_spec(codec), checkpoint)
            return LatentEncoder(network, tile=codec.tile, channels=codec.channels, copies=codec.copies)

        def units(picture: Picture) -> Units:
            return encoder().units(picture)

        return Runner(name, f"{name} {digest}", note, units)

    quantised = "the trained network as its training saw int8"
    plain = "the same weights in float32; only the latents are rounded"
    return [
        runner("fake-quantised", quantised, KerasNetwork.quantised),
        runner("float", plain, KerasNetwork.plain),
    ]
