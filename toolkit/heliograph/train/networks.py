"""The device's encoder network, on any Keras 3 backend.

A linear chain of 2x2 steps, and in some shapes a branch beside it: convolutions with ReLU and max-pooling that see
beyond a block. The same layer names carry the same weights in every form: the normalised one trains in float, the plain
one is what a device runs, and `quantised=True` puts fake quantisation where the int8 model will round. Those two have
copies of some channels of the chain and of some latents, see `copies`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import keras
import numpy as np
from keras import layers, ops

from heliograph.train.quantisation import ActivationRange, QuantisedConv2D


@dataclass(frozen=True)
class EncoderSpec:
    """Shape of an encoder: channel counts, and the device's tile in pixels, a multiple of 16."""

    middle: int  # of the chain at 1/8
    latent: int  # at 1/16
    tile: int
    pooled: int = 0  # of the branch: convolved at 1/4, pooled to 1/8; without a branch all three are 0
    squeezed: int = 0  # that the branch reads of the chain at 1/8
    mixed: int = 0  # of both at 1/8
    # Further channels at 1/2, 1/4 and 1/8 of the chain, and of the latent, see `copies`
    copies: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def chain(self) -> dict[str, int]:
        """Channels of the chain's layers before the latent, copies included."""
        half, quarter, eighth, _ = self.copies
        return {"chain2": HALF + half, "chain4": QUARTER + quarter, "chain8": self.middle + eighth}

    @property
    def has_branch(self) -> bool:
        """Whether there is more than the chain."""
        return self.mixed > 0

    @property
    def outputs(self) -> int:
        """Channels of the network's output: the latents, and further copies of some."""
        return self.latent + self.copies[3]

    def without_latent_copies(self) -> EncoderSpec:
        """Return the shape with copies in the chain alone."""
        return replace(self, copies=(*self.copies[:3], 0))

    def without_copies(self) -> EncoderSpec:
        """Return the shape that trains in float."""
        return replace(self, copies=(0, 0, 0, 0))


HALF, QUARTER = 12, 48  # channels that hold all of a picture at 1/2 and 1/4
ENCODERS = {
    "accelerator": EncoderSpec(
        middle=128, latent=384, pooled=16, squeezed=16, mixed=32, tile=256, copies=(12, 32, 48, 32)
    ),
    "microcontroller": EncoderSpec(middle=128, latent=192, tile=96, copies=(4, 0, 0, 32)),
}
UNITS = ("branch4", "mix8a", "mix8b")  # convolutions before a ReLU


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
    """Return the encoder: float32 [B, H, W, 3] in [0, 1] to latents [B, H/16, W/16, C], then copies.

    It computes in float32 under any precision policy: bfloat16 has too few digits for its latents.

    Args:
        spec: channel counts.
        normalised: for training in float: the branch's channels are normalised over the batch before their ReLU,
            and what it adds to the latent has weights of its own. `fold_normalisation` makes a plain encoder of it.
            Without copies, which do nothing in float.
        quantised: insert fake quantisation exactly where int8 TFLite rounds.
        tile: fix H = W = tile (needed for conversion); None accepts any multiple of 16.
    """

    def conv(name: str, channels: int, size: int, stride: int = 1, **more: object) -> keras.Layer:
        kind = QuantisedConv2D if quantised else layers.Conv2D
        padding = "same" if stride == 1 else "valid"
        return kind(channels, size, strides=stride, padding=padding, dtype="float32", name=name, **more)

    def rounded(x: object, name: str) -> object:
        return ActivationRange(name=f"range_{name}", dtype="float32")(x) if quantised else x

    def unit(x: object, name: str, channels: int) -> object:
        if not normalised:
            return rounded(conv(name, channels, 3, activation="relu")(x), name)
        x = conv(name, channels, 3, use_bias=False, kernel_initializer="he_normal")(x)
        # What the branch adds is noise at first, and the cheapest way to less noise is to push every unit below zero,
        # where it stays. Normalised and centred, one that is pushed there comes back.
        x = layers.BatchNormalization(scale=False, momentum=0.99, dtype="float32", name=f"{name}_norm")(x)
        return layers.ReLU(dtype="float32", name=f"{name}_relu")(x)

    spec = spec.without_copies() if normalised else spec
    # A device's model has a fixed batch too: compilers for accelerators want constant shapes.
    image = keras.Input((tile, tile, 3), batch_size=1 if tile else None, name="image")
    x = rounded(image, "image")
    x = rounded(conv("chain2", spec.chain["chain2"], 2, 2)(x), "chain2")  # [B, H/2, W/2, 12 or more]
    u = rounded(conv("chain4", spec.chain["chain4"], 2, 2)(x), "chain4")  # [B, H/4, W/4, 48 or more]
    x = rounded(conv("chain8", spec.chain["chain8"], 2, 2)(u), "chain8")  # [B, H/8, W/8, middle or more]
    if spec.has_branch:
        b = layers.MaxPooling2D(2, dtype="float32", name="pool8")(unit(u, "branch4", spec.pooled))
        s = rounded(conv("squeeze8", spec.squeezed, 1)(x), "squeeze8")
        m = unit(layers.Concatenate(dtype="float32", name="both8")([s, b]), "mix8a", spec.mixed)
        m = unit(m, "mix8b", spec.mixed)  # [B, H/8, W/8, mixed]
        if normalised:
            added = conv("branch16", spec.latent, 2, 2, kernel_constraint=ZeroSum(), use_bias=False)(m)
            latent = layers.Add(dtype="float32", name="sum")([conv("latent", spec.latent, 2, 2)(x), added])
            return keras.Model(image, latent, name="encoder")
        # Both parts in one convolution: the latent is rounded once. A sum of two rounded tensors doubled its error.
        x = layers.Concatenate(dtype="float32", name="all8")([x, m])
    latent = rounded(conv("latent", spec.outputs, 2, 2)(x), "latent")  # [B, H/16, W/16, C or more]
    return keras.Model(image, latent, name="encoder")


def fold_normalisation(normalised: keras.Model, spec: EncoderSpec) -> keras.Model:
    """Return the plain encoder without copies that computes what a normalised one does by its running statistics."""
    plain = build_encoder(spec.without_copies())
    if not spec.has_branch:
        plain.set_weights(normalised.get_weights())
        return plain
    for name in ("chain2", "chain4", "chain8", "squeeze8"):
        plain.get_layer(name).set_weights(normalised.get_layer(name).get_weights())
    for name in UNITS:
        norm = normalised.get_layer(f"{name}_norm")
        deviation = np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
        kernel = np.asarray(normalised.get_layer(name).kernel) / deviation
        bias = np.asarray(norm.beta) - np.asarray(norm.moving_mean) / deviation
        plain.get_layer(name).set_weights([kernel, bias])
    chain, added = normalised.get_layer("latent"), normalised.get_layer("branch16")
    kernel = np.concatenate([np.asarray(chain.kernel), np.asarray(added.kernel)], axis=2)
    plain.get_layer("latent").set_weights([kernel, np.asarray(chain.bias)])
    return plain


def without_rounding(quantised: keras.Model, spec: EncoderSpec) -> keras.Model:
    """Return the plain encoder with a fake-quantised one's weights."""
    plain = build_encoder(spec)
    for layer in plain.layers:
        if layer.weights:
            layer.set_weights(quantised.get_layer(layer.name).get_weights())
    return plain


def encoder_macs_per_pixel(spec: EncoderSpec) -> float:
    """Multiply-accumulates of the plain encoder per picture pixel, counted from the layer shapes."""
    c, p, s, w = spec.outputs, spec.pooled, spec.squeezed, spec.mixed
    half, quarter, m = spec.chain.values()
    chain = 4 * 3 * half / 4 + 4 * half * quarter / 16 + 4 * quarter * m / 64
    branch = 9 * quarter * p / 16 + m * s / 64 + 9 * (s + p) * w / 64 + 9 * w * w / 64
    return chain + branch + 4 * (m + w) * c / 256
