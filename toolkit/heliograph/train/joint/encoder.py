"""The accelerator encoder that overlaps: a linear chain of 2x2 steps, and beside it convolutions with ReLU and
max-pooling that see beyond a block.

The form here is the one that trains in float: convolutions before a ReLU are normalised over the batch, and what the
branch adds to the latent has weights of its own. Both fold into plain convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from heliograph.train.networks import ZeroSum


@dataclass(frozen=True)
class OverlapSpec:
    """Channel counts: of the chain at 1/8, of the branch at 1/4 and 1/8, of what the branch reads of the chain."""

    middle: int = 128
    latent: int = 384
    pooled: int = 32
    squeezed: int = 48
    mixed: int = 64


def build_overlapping(spec: OverlapSpec) -> keras.Model:
    """Return the float encoder: float32 [B, H, W, 3] in [0, 1] to latents [B, H/16, W/16, C], in float32."""

    def conv(name: str, channels: int, size: int, stride: int = 1, **more: object) -> keras.Layer:
        padding = "same" if stride == 1 else "valid"
        return layers.Conv2D(
            channels, size, strides=stride, padding=padding, dtype="float32", name=name, **more
        )

    def unit(x: object, name: str, channels: int) -> object:
        x = conv(name, channels, 3, use_bias=False, kernel_initializer="he_normal")(x)
        # Centred too: a unit that is pushed below zero comes back.
        x = layers.BatchNormalization(scale=False, momentum=0.99, dtype="float32", name=f"{name}_norm")(x)
        return layers.ReLU(dtype="float32", name=f"{name}_relu")(x)

    image = keras.Input((None, None, 3), name="image")
    u = conv("chain4", 48, 2, 2)(conv("chain2", 12, 2, 2)(image))  # [B, H/4, W/4, 48], linear
    x = conv("chain8", spec.middle, 2, 2)(u)  # [B, H/8, W/8, middle], linear
    b = layers.MaxPooling2D(2, dtype="float32", name="pool8")(unit(u, "branch4", spec.pooled))
    s = conv("squeeze8", spec.squeezed, 1)(x)
    m = unit(layers.Concatenate(dtype="float32", name="both8")([s, b]), "mix8a", spec.mixed)
    m = unit(m, "mix8b", spec.mixed)
    added = conv("branch16", spec.latent, 2, 2, kernel_constraint=ZeroSum(), use_bias=False)(m)
    latent = layers.Add(dtype="float32", name="sum")([conv("latent", spec.latent, 2, 2)(x), added])
    return keras.Model(image, latent, name="encoder")


def macs_per_pixel(spec: OverlapSpec) -> float:
    """Multiply-accumulates of the folded encoder per picture pixel."""
    m, c, p, s, w = spec.middle, spec.latent, spec.pooled, spec.squeezed, spec.mixed
    chain = 4 * 3 * 12 / 4 + 4 * 12 * 48 / 16 + 4 * 48 * m / 64
    branch = 9 * 48 * p / 16 + m * s / 64 + 9 * (s + p) * w / 64 + 9 * w * w / 64
    return chain + branch + 4 * (m + w) * c / 256
