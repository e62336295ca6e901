"""The recipe's choices, each changed alone and trained for equally many steps: what a choice is worth.

    python -m heliograph.train.experiments.ablations --photos DIR --images HELD_OUT --out RUNS [--steps N] [--only ...]

Every variant trains encoder, steps, densities and decoder together in float, from the same seed on the same crops;
pictures that are not among the photographs are then coded at five qualities. Symbols are rounded, and their bits
counted as the entropy under one table per channel: contexts, int8 and a fitted decoder come later and would hide
what is compared. Runs that are done are read from RUNS, so an interrupted table goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from heliograph.codec.tiles import STRIDE
from heliograph.files import write_whole
from heliograph.measure.curves import Point, bd_rate
from heliograph.pictures import load_folder
from heliograph.server.network import build_decoder, decoder_macs_per_pixel
from heliograph.train import loop
from heliograph.train.experiments.int8_cost import Latents, Picture, measure
from heliograph.train.experiments.variants import VARIANTS, Taught, Variant
from heliograph.train.networks import EncoderSpec
from heliograph.train.objective import EncoderObjective, make_variables
from heliograph.train.run import Run
from heliograph.train.stage1_float import LAYER_SCALES, start_model

QUALITIES = (5, 25, 50, 75, 95)


def variant_model(
    variant: Variant, run: Run, spec: EncoderSpec, images: npt.NDArray[np.float32]
) -> EncoderObjective:
    """Return a variant's model with an encoder of `spec` at its starting point."""
    keras.utils.set_random_seed(run.seed)
    encoder, decoder = variant.encoder(spec), build_decoder(variant.decoder, spec.latent)
    random = encoder.get_weights(), decoder.get_weights()
    model = start_model(
        encoder, decoder, spec, images, seed=run.seed, objective=variant.objective, lambdas=variant.lambdas
    )
    if variant.random_start:
        encoder.set_weights(random[0])
        decoder.set_weights(random[1])
    return model


def _train(model: EncoderObjective, run: Run, part: str, steps: int) -> float:
    """Train for a part of a variant's steps; return seconds per step."""
    began = time.monotonic()
    loop.train(
        model,
        run.crops("float"),
        run.folder / f"{part}.npz",
        budget=loop.Budget(0, steps),
        peak=run.learning_rate,
        resume=False,
        scales=LAYER_SCALES,
    )
    return (time.monotonic() - began) / steps


def train_variant(variant: Variant, run: Run, steps: int) -> tuple[EncoderObjective, float]:
    """Train a variant; return it and its seconds per step."""
    images = run.calibration()
    if variant.teacher is not None:
        teacher = variant_model(variant, run, variant.teacher, images)
        first = _train(teacher, run, "teacher", steps // 2)
        usual = variant_model(variant, run, variant.spec, images)
        model = Taught(usual.encoder, teacher.decoder, teacher, seed=run.seed)
        make_variables(model)
        for own, learnt in ((model.log_step, teacher.log_step), (model.density, teacher.density)):
            own.assign(learnt)
        return model, (first + _train(model, run, "taught", steps - steps // 2)) / 2
    usual = variant_model(variant, run, variant.spec, images)
    if variant.joint == 1.0:
        return usual, _train(usual, run, "joint", steps)
    first = _train(usual, run, "joint", round(steps * variant.joint))
    usual.encoder.trainable = False
    rest = _train(usual, run, "decoder", round(steps * (1 - variant.joint)))
    return usual, variant.joint * first + (1 - variant.joint) * rest


def measure_variant(variant: Variant, run: Run, steps: int, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Train and measure a variant, or read what an earlier call wrote to its folder.

    Args:
        variant: what differs from the recipe.
        run: the recipe; the variant's own folder lies in the run's.
        steps: of training.
        pictures: uint8 [16h, 16w, 3], not among the photographs.

    Returns:
        `name`, `seconds_per_step`, `decoder_kmac` and `points`, pairs of bits per pixel and decibels by quality.
    """
    folder = run.folder / "".join(c if c.isalnum() else "-" for c in variant.name)
    path = folder / "result.json"
    if path.is_file():
        earlier: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return earlier
    model, seconds = train_variant(variant, replace(run, folder=folder), steps)

    def encode(picture: Picture) -> Latents:
        image = picture[None].astype(np.float32) / np.float32(255)
        latents: Latents = np.asarray(model.encoder(image, training=False), np.float32)[0]
        return latents

    points = [measure(model, encode, pictures, quality) for quality in QUALITIES]
    result = {
        "name": variant.name,
        "seconds_per_step": seconds,
        "decoder_kmac": decoder_macs_per_pixel(variant.decoder, variant.spec.latent) / 1000,
        "points": [[p.bpp, p.db] for p in points],
    }
    write_whole(path, (json.dumps(result, indent=1) + "\n").encode())
    return result


def against(anchor: Sequence[Point], points: Sequence[Point]) -> str:
    """Return in words how a variant's points compare with the anchor's."""
    try:
        rate, (low, high) = bd_rate(anchor, points)
    except ValueError:  # a random start after few steps is not even in reach of the anchor's lowest quality
        return f"nowhere as good as the anchor: {points[-1].db:.1f} dB at {points[-1].bpp:.2f} bpp"
    return f"BD-rate {100 * rate:+6.1f} % ({low:.1f} to {high:.1f} dB)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="training photographs")
    parser.add_argument("--images", type=Path, required=True, help="pictures to measure on, not among them")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--steps", type=int, default=1000, help="of each variant (%(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="crops per step (%(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="variants to train, beside the anchor")
    a = parser.parse_args(arguments)
    pictures = [
        p[: len(p) // STRIDE * STRIDE, : p.shape[1] // STRIDE * STRIDE] for p in load_folder(a.images)
    ]
    variants = [v for v in VARIANTS if not a.only or v.name in a.only or v is VARIANTS[0]]
    run = Run(codec="accelerator", photos=a.photos, folder=a.out, batch=a.batch)
    anchor: list[Point] = []
    for variant in variants:
        result = measure_variant(variant, run, a.steps, pictures)
        points = [Point(*p) for p in result["points"]]
        anchor = anchor or points
        print(
            f"{variant.name:<42} {against(anchor, points)}  "
            f"{1000 * result['seconds_per_step']:4.0f} ms a step  decoder {result['decoder_kmac']:.1f} kMAC",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
