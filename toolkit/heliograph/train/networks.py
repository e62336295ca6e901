"""The device's encoder network, on any Keras 3 backend.

It is one function for float and for quantisation-aware training: the same layer names carry
the same weights, and `quantised=True` puts fake quantisation where the int8 model will round.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from heliograph.train.quantisation import ActivationRange, QuantisedConv2D


@dataclass(frozen=True)
class EncoderSpec:
    """Shape of an encoder: channel counts of the linear chain and the branch, and the device's tile."""

    middle: int  # channels of the linear chain at 1/8
    latent: int  # channels of the latent at 1/16
    branch: tuple[int, int]  # channels of the branch at 1/4 and 1/8
    tile: int  # pixels, multiple of 16


ENCODERS = {
    "accelerator": EncoderSpec(middle=96, latent=192, branch=(64, 96), tile=256),
    "microcontroller": EncoderSpec(middle=64, latent=96, branch=(16, 32), tile=96),
}


class ZeroSum(keras.constraints.Constraint):  # type: ignore[misc]
    """Keep a kernel's sum over its input channels at zero, at every tap and for every output.

    After ReLUs all inputs are positive: what they have in common would act as one bias with hundreds of times
    the learning rate, and swing.
    """

    def __call__(self, kernel: object) -> object:
        return kernel - ops.mean(kernel, axis=2, keepdims=True)


def build_encoder(
    spec: EncoderSpec, *, normalised: bool = False, quantised: bool = False, tile: int | None = None
) -> keras.Model:
    """Return the encoder: float32 [B, H, W, 3] in [0, 1] to latents [B, H/16, W/16, C].

    It computes in float32 under any precision policy: bfloat16 has too few digits for its latents.

    Args:
        spec: channel counts.
        normalised: normalise the branch's channels over the batch before their ReLUs, for training in float;
            `fold_normalisation` makes a plain encoder of it.
        quantised: insert fake quantisation exactly where int8 TFLite rounds.
        tile: fix H = W = tile (needed for conversion); None accepts any multiple of 16.
    """

    def conv(
        name: str,
        channels: int,
        size: int,
        stride: int,
        activation: str | None = None,
        constraint: keras.constraints.Constraint | None = None,
    ) -> keras.Layer:
        kind = QuantisedConv2D if quantised else layers.Conv2D
        return kind(
            channels,
            size,
            strides=stride,
            padding="valid" if stride == 2 else "same",
            activation=activation,
            kernel_initializer="he_normal" if activation else "glorot_uniform",
            kernel_constraint=constraint,
            dtype="float32",
            name=name,
        )

    def rounded(x: object, name: str) -> object:
        return ActivationRange(name=name, dtype="float32")(x) if quantised else x

    def rectified(x: object, name: str, channels: int) -> object:
        if not normalised:
            return rounded(conv(name, channels, 3, 1, "relu")(x), f"range_{name}")
        # What the branch adds is noise at first, and the cheapest way to less noise is to push every unit
        # below zero, where it stays (seen: all of branch8 dead within 400 steps). Normalised, it cannot.
        x = conv(name, channels, 3, 1)(x)
        x = layers.BatchNormalization(
            center=False, scale=False, momentum=0.98, dtype="float32", name=f"{name}_norm"
        )(x)
        return layers.Activation("relu", dtype="float32", name=f"{name}_relu")(x)

    image = keras.Input((tile, tile, 3), name="image")
    x = rounded(image, "range_image")
    x = rounded(conv("chain2", 12, 2, 2)(x), "range_chain2")  # [B, H/2, W/2, 12]
    u = rounded(conv("chain4", 48, 2, 2)(x), "range_chain4")  # [B, H/4, W/4, 48]
    x = rounded(conv("chain8", spec.middle, 2, 2)(u), "range_chain8")  # [B, H/8, W/8, middle]
    linear = rounded(conv("chain16", spec.latent, 2, 2)(x), "range_chain16")  # [B, H/16, W/16, C]
    b = rectified(u, "branch4", spec.branch[0])
    b = layers.MaxPooling2D(2, dtype="float32", name="pool8")(b)  # [B, H/8, W/8, branch0]
    b = rectified(b, "branch8", spec.branch[1])
    b = layers.MaxPooling2D(2, dtype="float32", name="pool16")(b)  # [B, H/16, W/16, branch1]
    b = rounded(
        conv("branch16", spec.latent, 3, 1, constraint=ZeroSum() if normalised else None)(b), "range_branch16"
    )
    latent = layers.Add(dtype="float32", name="latent")([linear, b])
    latent = rounded(latent, "range_latent")
    return keras.Model(image, latent, name="encoder")


def fold_normalisation(normalised: keras.Model, spec: EncoderSpec) -> keras.Model:
    """Return the plain encoder that computes what a normalised one does with its running statistics."""
    plain = build_encoder(spec)
    for layer in plain.layers:
        if not layer.weights:
            continue
        kernel, bias = (np.asarray(w) for w in normalised.get_layer(layer.name).get_weights())
        if layer.name in ("branch4", "branch8"):
            norm = normalised.get_layer(f"{layer.name}_norm")
            deviation = np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
            kernel, bias = kernel / deviation, (bias - np.asarray(norm.moving_mean)) / deviation
        layer.set_weights([kernel, bias])
    return plain


def encoder_macs_per_pixel(spec: EncoderSpec) -> float:
    """Multiply-accumulates of the encoder per picture pixel, counted from the layer shapes."""
    m, c, (b0, b1) = spec.middle, spec.latent, spec.branch
    return (
        4 * 3 * 12 / 4
        + 4 * 12 * 48 / 16
        + 4 * 48 * m / 64
        + 4 * m * c / 256
        + 9 * 48 * b0 / 16
        + 9 * b0 * b1 / 64
        + 9 * b1 * c / 256
    )
