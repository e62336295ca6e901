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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from heliograph.codec.tiles import STRIDE
from heliograph.files import write_whole
from heliograph.measure.curves import Point, bd_rate
from heliograph.pictures import load_folder
from heliograph.server.network import DecoderSpec, build_decoder, decoder_macs_per_pixel
from heliograph.train import loop, transform
from heliograph.train.experiments.int8_cost import measure
from heliograph.train.networks import ENCODERS, EncoderSpec, ZeroSum, build_encoder
from heliograph.train.objective import Tensor
from heliograph.train.rate_distortion import LAMBDA_HIGH, LAMBDA_LOW, RateDistortion
from heliograph.train.stages import LAYER_SCALES, Plan, build

QUALITIES = (5, 25, 50, 75, 95)
SMALL = DecoderSpec(widths=(128, 64, 32, 16), blocks=(2, 1, 1, 1))  # a decoder that trains in minutes


class Straight(RateDistortion):
    """Bits counted where the rounded latents are; gradients pass the rounding as if it were not there."""

    def relax(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        rounded = ratio + ops.stop_gradient(ops.round(ratio) - ratio)
        return rounded, rounded


class Noise(RateDistortion):
    """Uniform noise, one step wide, for the bits and for the decoder (Balle et al. 2017)."""

    def relax(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        noisy = ratio + keras.random.uniform(ops.shape(ratio), -0.5, 0.5, seed=self.seeds)
        return noisy, noisy


class NarrowNoise(RateDistortion):
    """Bits under noise of 0.6 steps, which comes closest to the entropy of a rounded Laplacian."""

    def relax(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        noise = keras.random.uniform(ops.shape(ratio), -0.3, 0.3, seed=self.seeds)
        return ratio + noise, ratio + ops.stop_gradient(ops.round(ratio) - ratio)


class Soft(RateDistortion):
    """Bits counted at softly rounded latents (Agustsson and Theis 2020), rounding for the decoder."""

    SHARPNESS = 4.0

    def relax(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        low = ops.stop_gradient(ops.floor(ratio))
        slope = ops.tanh(self.SHARPNESS * (ratio - low - 0.5)) / (2 * float(np.tanh(self.SHARPNESS / 2)))
        return low + 0.5 + slope, ratio + ops.stop_gradient(ops.round(ratio) - ratio)


def other_branch(spec: EncoderSpec, pool: str) -> keras.Model:
    """Return the encoder with another way to halve the branch's resolution.

    "average" pools means; "stride" lets the 3x3 convolutions step by two; weights carry the usual names.
    """
    usual = build_encoder(spec, normalised=True)
    u = usual.get_layer("chain4").output
    linear = usual.get_layer("chain16").output
    b = layers.Conv2D(
        spec.branch,
        3,
        strides=2 if pool == "stride" else 1,
        padding="same",
        kernel_initializer="he_normal",
        name="branch4",
    )(u)
    b = layers.BatchNormalization(center=False, scale=False, momentum=0.98, name="branch4_norm")(b)
    b = layers.Activation("relu", name="branch4_relu")(b)
    if pool == "average":
        b = layers.AveragePooling2D(2, name="pool8")(b)
    b = layers.Conv2D(spec.latent, 2, strides=2, kernel_constraint=ZeroSum(), name="branch16")(b)
    return keras.Model(usual.input, layers.Add(name="latent")([linear, b]), name="encoder")


@dataclass(frozen=True)
class Variant:
    """One row of the table: what differs from the usual recipe."""

    name: str
    spec: EncoderSpec = ENCODERS["accelerator"]
    encoder: Callable[[EncoderSpec], keras.Model] = lambda spec: build_encoder(spec, normalised=True)
    objective: type[RateDistortion] = RateDistortion
    decoder: DecoderSpec = SMALL
    lambdas: tuple[float, float] = (LAMBDA_LOW, LAMBDA_HIGH)
    random_start: bool = False
    joint: float = 1.0  # share of the steps in which the encoder learns too
    teacher: EncoderSpec | None = None  # learns for the first half; then its latents are taught for the other


ACCELERATOR = ENCODERS["accelerator"]
BRANCHED = replace(ACCELERATOR, branch=48)
VARIANTS = (
    Variant("as shipped"),
    Variant("rate: noise of 0.6 steps", objective=NarrowNoise),
    Variant("rate: rounding, straight through", objective=Straight),
    Variant("rate: soft rounding", objective=Soft),
    Variant("rate: noise for decoder too", objective=Noise),
    Variant("branch: max-pool", spec=BRANCHED),
    Variant("branch: average-pool", spec=BRANCHED, encoder=lambda spec: other_branch(spec, "average")),
    Variant("branch: stride", spec=BRANCHED, encoder=lambda spec: other_branch(spec, "stride")),
    Variant("start: random", random_start=True),
    Variant("latent channels: 128", spec=replace(ACCELERATOR, latent=128)),
    Variant("latent channels: 192", spec=replace(ACCELERATOR, latent=192)),
    Variant("lambda: 0.0016 to 0.0512", lambdas=(0.0016, 0.0512)),
    Variant("lambda: 0.0005 to 0.18", lambdas=(0.0005, 0.18)),
    Variant("joint for a quarter, then decoder alone", joint=0.25),
    Variant("encoder taught by one of twice the width", teacher=replace(ACCELERATOR, middle=192)),
    Variant("decoder: half the width", decoder=DecoderSpec((64, 32, 16, 8), (2, 1, 1, 1))),
    Variant("decoder: as shipped", decoder=DecoderSpec()),
    Variant("decoder: deep at 1/16", decoder=DecoderSpec((256, 64, 32, 16), (6, 1, 1, 0))),
)


class Taught(RateDistortion):
    """The usual objective plus the distance, in steps, from a teacher's latents."""

    WEIGHT = 0.02

    def __init__(
        self, encoder: keras.Model, decoder: keras.Model, teacher: RateDistortion, *, seed: int
    ) -> None:
        super().__init__(encoder, decoder, seed=seed)
        teacher.trainable = False
        self.teacher = teacher

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        image = ops.cast(inputs["image"], "float32") / 255.0
        step = self.steps(inputs["quality"])[:, None, None, :]
        goal = ops.stop_gradient(self.teacher.encoder(image, training=False))
        found = self.encoder(image, training=training)
        apart = ops.mean(ops.square((found - goal) / ops.stop_gradient(step)), axis=(1, 2, 3))
        usual = super().call(inputs, training=training)
        return ops.concatenate([usual[:, :1] + self.WEIGHT * apart[:, None], usual[:, 1:]], axis=-1)


def _start(
    variant: Variant, plan: Plan, spec: EncoderSpec, images: npt.NDArray[np.float32]
) -> RateDistortion:
    keras.utils.set_random_seed(plan.seed)
    encoder, decoder = variant.encoder(spec), build_decoder(variant.decoder, spec.latent)
    random = [np.asarray(w).copy() for w in encoder.get_weights()]
    forward = transform.start_chain(encoder, spec)
    if any(layer.name == "branch16" for layer in encoder.layers):
        transform.start_branch(encoder, images)
    usual = decoder.get_weights()
    latents = np.concatenate([np.asarray(encoder(images[i : i + 8])) for i in range(0, len(images), 8)])
    deviation = latents.reshape(-1, spec.latent).std(axis=0).astype(np.float32)
    transform.start_decoder(decoder, forward, deviation)
    if variant.random_start:
        encoder.set_weights(random)
        decoder.set_weights(usual)
    model = variant.objective(encoder, decoder, seed=plan.seed, lambdas=variant.lambdas)
    build(model)
    model.start(deviation)
    return model


def _train(model: RateDistortion, plan: Plan, stage: str, steps: int) -> float:
    began = time.monotonic()
    loop.train(
        model,
        plan.crops(1),
        stage=stage,
        out=plan.out,
        budget=loop.Budget(0, steps),
        peak=plan.learning_rate,
        resume=False,
        scales=LAYER_SCALES,
    )
    return (time.monotonic() - began) / steps


def train_variant(variant: Variant, plan: Plan, steps: int) -> tuple[RateDistortion, float]:
    """Train a variant; return it and its seconds per step."""
    images = plan.calibration()
    if variant.teacher is not None:
        teacher = _start(variant, plan, variant.teacher, images)
        first = _train(teacher, plan, "teacher", steps // 2)
        usual = _start(variant, plan, variant.spec, images)
        model = Taught(usual.encoder, teacher.decoder, teacher, seed=plan.seed)
        build(model)
        for own, learnt in ((model.log_step, teacher.log_step), (model.density, teacher.density)):
            own.assign(learnt)
        return model, (first + _train(model, plan, "taught", steps - steps // 2)) / 2
    model = _start(variant, plan, variant.spec, images)
    if variant.joint == 1.0:
        return model, _train(model, plan, "joint", steps)
    first = _train(model, plan, "joint", round(steps * variant.joint))
    model.encoder.trainable = False
    return model, variant.joint * first + (1 - variant.joint) * _train(
        model, plan, "decoder", round(steps * (1 - variant.joint))
    )


def run_variant(
    variant: Variant, plan: Plan, steps: int, pictures: Sequence[npt.NDArray[np.uint8]]
) -> dict[str, Any]:
    """Train and measure a variant, or read what an earlier run found."""
    folder = plan.out / "".join(c if c.isalnum() else "-" for c in variant.name)
    result = folder / "result.json"
    if result.is_file():
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found
    model, seconds = train_variant(variant, replace(plan, out=folder), steps)

    def encode(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        image = picture[None].astype(np.float32) / np.float32(255)
        found: npt.NDArray[np.float32] = np.asarray(model.encoder(image, training=False), np.float32)
        return np.asarray(found[0])

    points = [measure(model, encode, pictures, quality) for quality in QUALITIES]
    found = {
        "name": variant.name,
        "seconds_per_step": seconds,
        "decoder_kmac": decoder_macs_per_pixel(variant.decoder, variant.spec.latent) / 1000,
        "points": [[p.bpp, p.db] for p in points],
    }
    write_whole(result, (json.dumps(found, indent=1) + "\n").encode())
    return found


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
    chosen = [v for v in VARIANTS if not a.only or v.name in a.only or v is VARIANTS[0]]
    plan = Plan(codec="accelerator", photos=a.photos, out=a.out, batch=a.batch)
    anchor: list[Point] = []
    for variant in chosen:
        found = run_variant(variant, plan, a.steps, pictures)
        points = [Point(*p) for p in found["points"]]
        anchor = anchor or points
        try:
            rate, (low, high) = bd_rate(anchor, points)
            against = f"BD-rate {100 * rate:+6.1f} % ({low:.1f} to {high:.1f} dB)"
        except (
            ValueError
        ):  # a random start after few steps is not even in reach of the anchor's lowest quality
            against = f"nowhere as good as the anchor: {points[-1].db:.1f} dB at {points[-1].bpp:.2f} bpp"
        print(
            f"{variant.name:<42} {against}  "
            f"{1000 * found['seconds_per_step']:4.0f} ms a step  decoder {found['decoder_kmac']:.1f} kMAC",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
