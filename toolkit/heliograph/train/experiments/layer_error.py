"""Where int8 costs: what each rounding of the encoder adds to the picture's error, alone and all together.

    python -m heliograph.train.experiments.layer_error --run RUN --photos PHOTOS --images DIR [--codec NAME]

A fake-quantised encoder is run with one rounding switched on at a time. The error of its latents goes through the
decoder's linear path, which turns it into the picture's mean squared error (8-bit units, mean over RGB). Beside it
stands what the steps of quality 95 and 50 add by themselves: a rounding that adds one hundredth of that costs about
0.04 dB there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from heliograph.codec.tiles import STRIDE
from heliograph.pictures import load_folder
from heliograph.train.copies import mean_of_copies
from heliograph.train.networks import ENCODERS
from heliograph.train.objective import Joint, linear_path
from heliograph.train.quantisation import ActivationRange, QuantisedConv2D
from heliograph.train.run import Run
from heliograph.train.stage2_qat import quantised_model, trained_model

Latents = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LayerError:
    """What one rounding adds: `mse` in 8-bit units of the picture, mean over RGB."""

    layer: str
    kind: str  # "weights" or "activations"
    mse: float


def roundings(encoder: keras.Model) -> list[QuantisedConv2D | ActivationRange]:
    """Return the layers of a fake-quantised encoder that round, from picture to latent."""
    return [layer for layer in encoder.layers if isinstance(layer, QuantisedConv2D | ActivationRange)]


@contextmanager
def only(encoder: keras.Model, on: Sequence[keras.Layer]) -> Iterator[None]:
    """Let no layer round but those in `on`. Affects direct calls of the model, not compiled ones."""
    layers = roundings(encoder)
    before = [layer.rounds for layer in layers]
    try:
        for layer in layers:
            layer.rounds = any(layer is chosen for chosen in on)
        yield
    finally:
        for layer, rounds in zip(layers, before, strict=True):
            layer.rounds = rounds


def picture_error(difference: Latents, model: Joint) -> float:
    """Return the picture's MSE (8-bit units) that a difference of latents [..., C] makes in the linear path."""
    kernel = linear_path(model)  # [C, 768]
    flat = difference.reshape(-1, difference.shape[-1]).astype(np.float64) * np.asarray(model.unit.value)
    gram = flat.T @ flat / len(flat)  # [C, C], second moments
    return float(np.sum((gram @ kernel) * kernel) / kernel.shape[1] * 255**2)


def step_error(latents: Latents, model: Joint, quality: float) -> float:
    """Return the picture's MSE (8-bit units) that rounding exact latents to the steps of a quality makes."""
    step = np.asarray(model.steps(np.full((1, 1), quality, np.float32)))[0] / np.asarray(model.unit.value)
    return picture_error(np.round(latents / step) * step - latents, model)


def layer_errors(model: Joint, images: npt.NDArray[np.float32]) -> tuple[list[LayerError], float, Latents]:
    """Measure every rounding of a fake-quantised model's encoder.

    Args:
        model: as `quantised_model` returns it, trained on or not.
        images: float32 [N, H, W, 3] in [0, 1].

    Returns:
        One entry per rounding, the error of all together, and the exact latents float32 [N, H/16, W/16, C].
    """
    encoder = model.encoder
    layers = roundings(encoder)

    def latents(on: Sequence[keras.Layer]) -> Latents:
        with only(encoder, on):
            return np.concatenate(
                [
                    np.asarray(mean_of_copies(encoder(images[i : i + 4]), model.copies))
                    for i in range(0, len(images), 4)
                ]
            )

    exact = latents([])
    alone = [
        LayerError(
            layer.name.removeprefix("range_"),
            "weights" if isinstance(layer, QuantisedConv2D) else "activations",
            picture_error(latents([layer]) - exact, model),
        )
        for layer in layers
    ]
    return alone, picture_error(latents(layers) - exact, model), exact


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables for the encoder quantised after training and for the one trained for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a training run")
    parser.add_argument("--photos", type=Path, required=True, help="its training photographs")
    parser.add_argument("--images", type=Path, required=True, help="pictures to measure on")
    parser.add_argument("--codec", default="accelerator", choices=sorted(ENCODERS))
    a = parser.parse_args(arguments)
    tile = ENCODERS[a.codec].tile // STRIDE * STRIDE
    cuts = [p[:tile, :tile] for p in load_folder(a.images) if min(p.shape[:2]) >= tile]
    images = np.stack(cuts).astype(np.float32) / np.float32(255)
    run = Run(codec=a.codec, photos=a.photos, folder=a.run)
    for title, build in (("quantised after training", quantised_model), ("trained for it", trained_model)):
        model = build(run)
        alone, together, exact = layer_errors(model, images)
        finest = step_error(exact, model, 0.95)
        print(f"\n{title}: MSE that each rounding alone adds, and its share of what quality 95 adds")
        for entry in alone:
            print(f"  {entry.layer:<10} {entry.kind:<12} {entry.mse:8.3f} {100 * entry.mse / finest:7.2f} %")
        print(f"  {'all together':<23} {together:8.3f} {100 * together / finest:7.2f} %")
        print(f"  steps of quality 95: {finest:.2f}, of quality 50: {step_error(exact, model, 0.5):.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
