"""The device's encoder network, on any Keras 3 backend.

It is one function for float and for quantisation-aware training: the same layer names carry
the same weights, and `quantised=True` puts fake quantisation where the int8 model will round.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from heliograph.train.quantisation import ActivationRange, QuantisedConv2D


@dataclass(frozen=True)
class EncoderSpec:
    """Shape of an encoder: channel counts of the linear chain and the branch, and the device's tile."""

    middle: int  # channels of the linear chain at 1/8
    latent: int  # channels of the latent at 1/16
    branch: int  # channels of the branch: convolved at 1/4, pooled to 1/8; 0 for none
    tile: int  # pixels, multiple of 16


ENCODERS = {
    # With a decoder that has the capacity for what is not linear, a branch of 48 channels fell silent: 55 % of the
    # multiply-adds for nothing.
    "accelerator": EncoderSpec(middle=96, latent=256, branch=0, tile=256),
    "microcontroller": EncoderSpec(middle=96, latent=96, branch=16, tile=96),
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
        normalised: for training in float: the branch's channels are normalised over the batch before their ReLU,
            and what it adds to the latent has weights of its own. `fold_normalisation` makes a plain encoder of it.
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

    # A device's model has a fixed batch too: compilers for accelerators want constant shapes.
    image = keras.Input((tile, tile, 3), batch_size=1 if tile else None, name="image")
    x = rounded(image, "range_image")
    x = rounded(conv("chain2", 12, 2, 2)(x), "range_chain2")  # [B, H/2, W/2, 12]
    u = rounded(conv("chain4", 48, 2, 2)(x), "range_chain4")  # [B, H/4, W/4, 48]
    x = conv("chain8", spec.middle, 2, 2)(u)  # [B, H/8, W/8, middle]
    if normalised and spec.branch:
        # What the branch adds is noise at first, and the cheapest way to less noise is to push every unit
        # below zero, where it stays (seen: all units dead within 400 steps). Normalised, it cannot.
        b = conv("branch4", spec.branch, 3, 1)(u)  # [B, H/4, W/4, branch]
        b = layers.BatchNormalization(
            center=False, scale=False, momentum=0.98, dtype="float32", name="branch4_norm"
        )(b)
        b = layers.Activation("relu", dtype="float32", name="branch4_relu")(b)
        b = layers.MaxPooling2D(2, dtype="float32", name="pool8")(b)  # [B, H/8, W/8, branch]
        b = conv("branch16", spec.latent, 2, 2, constraint=ZeroSum())(b)
        latent = layers.Add(dtype="float32", name="latent")([conv("chain16", spec.latent, 2, 2)(x), b])
        return keras.Model(image, latent, name="encoder")
    x = rounded(x, "range_chain8")
    if spec.branch:
        # Both parts in one convolution: the latent is rounded once. A sum of two rounded tensors doubled its error.
        b = conv("branch4", spec.branch, 3, 1, "relu")(u)
        b = layers.MaxPooling2D(2, dtype="float32", name="pool8")(rounded(b, "range_branch4"))
        x = layers.Concatenate(dtype="float32", name="both8")([x, b])
    latent = rounded(conv("latent", spec.latent, 2, 2)(x), "range_latent")  # [B, H/16, W/16, C]
    return keras.Model(image, latent, name="encoder")


def fold_normalisation(normalised: keras.Model, spec: EncoderSpec) -> keras.Model:
    """Return the plain encoder that computes what a normalised one does with its running statistics."""
    plain = build_encoder(spec)
    if not spec.branch:
        plain.set_weights(normalised.get_weights())
        return plain
    for name in ("chain2", "chain4", "chain8", "branch4"):
        kernel, bias = (np.asarray(w) for w in normalised.get_layer(name).get_weights())
        if name == "branch4":
            norm = normalised.get_layer("branch4_norm")
            deviation = np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
            kernel, bias = kernel / deviation, (bias - np.asarray(norm.moving_mean)) / deviation
        plain.get_layer(name).set_weights([kernel, bias])
    parts = [normalised.get_layer(name).get_weights() for name in ("chain16", "branch16")]
    kernel = np.concatenate([np.asarray(k) for k, _ in parts], axis=2)
    plain.get_layer("latent").set_weights([kernel, sum(np.asarray(b) for _, b in parts)])
    return plain


def without_rounding(quantised: keras.Model, spec: EncoderSpec, unit: npt.NDArray[np.float32]) -> keras.Model:
    """Return the plain encoder with a fake-quantised one's weights, its latents multiplied by `unit`, float32 [C]."""
    plain = build_encoder(spec)
    for layer in plain.layers:
        if layer.weights:
            layer.set_weights(quantised.get_layer(layer.name).get_weights())
    last = plain.get_layer("latent")
    last.set_weights([np.asarray(w) * unit for w in last.get_weights()])
    return plain


def encoder_macs_per_pixel(spec: EncoderSpec) -> float:
    """Multiply-accumulates of the encoder per picture pixel, counted from the layer shapes."""
    m, c, b = spec.middle, spec.latent, spec.branch
    return 4 * 3 * 12 / 4 + 4 * 12 * 48 / 16 + 4 * 48 * m / 64 + 9 * 48 * b / 16 + 4 * (m + b) * c / 256
