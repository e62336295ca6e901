"""The variants of the recipe that ablations compare: other objectives, branches, shapes and starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras
import numpy as np
from keras import layers, ops

from heliograph.server.network import DecoderSpec
from heliograph.train.networks import ENCODERS, EncoderSpec, ZeroSum, build_encoder
from heliograph.train.objective import LAMBDA_HIGH, LAMBDA_LOW, EncoderObjective, Tensor

SMALL = DecoderSpec(widths=(128, 64, 32, 16), blocks=(2, 1, 1, 1))  # a decoder that trains in minutes


class Straight(EncoderObjective):
    """Bits counted where the rounded latents are; gradients pass the rounding as if it were not there."""

    def relax(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        rounded = ratio + ops.stop_gradient(ops.round(ratio) - ratio)
        return rounded, rounded


class Noise(EncoderObjective):
    """Uniform noise, one step wide, for the bits and for the decoder (Balle et al. 2017)."""

    def relax(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        noisy = ratio + keras.random.uniform(ops.shape(ratio), -0.5, 0.5, seed=self.seeds)
        return noisy, noisy


class NarrowNoise(EncoderObjective):
    """Bits under noise of 0.6 steps, which comes closest to the entropy of a rounded Laplacian."""

    def relax(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        noise = keras.random.uniform(ops.shape(ratio), -0.3, 0.3, seed=self.seeds)
        return ratio + noise, ratio + ops.stop_gradient(ops.round(ratio) - ratio)


class Soft(EncoderObjective):
    """Bits counted at softly rounded latents (Agustsson and Theis 2020), rounding for the decoder."""

    SHARPNESS = 4.0

    def relax(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        low = ops.stop_gradient(ops.floor(ratio))
        slope = ops.tanh(self.SHARPNESS * (ratio - low - 0.5)) / (2 * float(np.tanh(self.SHARPNESS / 2)))
        return low + 0.5 + slope, ratio + ops.stop_gradient(ops.round(ratio) - ratio)


class Taught(EncoderObjective):
    """The usual objective plus the distance, in steps, from a teacher's latents."""

    WEIGHT = 0.02

    def __init__(
        self, encoder: keras.Model, decoder: keras.Model, teacher: EncoderObjective, *, seed: int
    ) -> None:
        super().__init__(encoder, decoder, seed=seed)
        teacher.trainable = False
        self.teacher = teacher

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        image = ops.cast(inputs["image"], "float32") / 255.0
        step = self.steps(inputs["quality"])[:, None, None, :]
        goal = ops.stop_gradient(self.teacher.encoder(image, training=False))
        own = self.encoder(image, training=training)
        apart = ops.mean(ops.square((own - goal) / ops.stop_gradient(step)), axis=(1, 2, 3))
        usual = super().call(inputs, training=training)
        return ops.concatenate([usual[:, :1] + self.WEIGHT * apart[:, None], usual[:, 1:]], axis=-1)


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
    objective: type[EncoderObjective] = EncoderObjective
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
