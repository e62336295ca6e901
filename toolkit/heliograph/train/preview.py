"""The preview decoder: a small int8 network, so that a machine without a GPU or Keras can show a picture."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from heliograph.codec.preview import MARGIN, WINDOW
from heliograph.train.quantisation import ActivationRange, QuantisedConv2D

WIDTHS = (128, 96, 64, 32)  # channels at 1/16, 1/8, 1/4 and 1/2 resolution


class Enlarge(layers.Layer):  # type: ignore[misc]
    """Double height and width by repetition; becomes one RESIZE_NEAREST_NEIGHBOR."""

    def call(self, x: object) -> object:
        _, height, width, _ = x.shape  # type: ignore[attr-defined]
        return ops.image.resize(x, (2 * height, 2 * width), interpolation="nearest")

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        b, h, w, c = shape
        return (b, h and 2 * h, w and 2 * w, c)


def build_preview(latent: int, *, quantised: bool = False, window: int = WINDOW) -> keras.Model:
    """Return the preview decoder: latents [B, window, window, C] in [-1, 1) to [B, 16*window, 16*window, 3].

    The outer MARGIN latents are context: what they cover of the output is wrong at the border and is cut away.
    """

    def conv(name: str, channels: int, activation: str | None) -> keras.Layer:
        kind = QuantisedConv2D if quantised else layers.Conv2D
        return kind(
            channels,
            3,
            padding="same",
            activation=activation,
            kernel_initializer="he_normal" if activation else "glorot_uniform",
            name=name,
        )

    def rounded(x: object, name: str) -> object:
        return ActivationRange(name=name)(x) if quantised else x

    latents = keras.Input((window, window, latent), name="latent")
    x = rounded(latents, "range_latent")
    for level, width in enumerate(WIDTHS):
        if level:
            x = Enlarge(name=f"enlarge{level}")(x)
        x = rounded(conv(f"conv{level}", width, "relu")(x), f"range_conv{level}")
    x = Enlarge(name="enlarge4")(x)
    x = rounded(conv("picture", 3, None)(x), "range_picture")
    return keras.Model(latents, x, name="preview")


def start(network: keras.Model, unit: npt.NDArray[np.float64], values: npt.NDArray[np.float32]) -> None:
    """Weight the latents' channels as the picture does, scale the first layer's output to one, start at mid-grey.

    Args:
        network: float preview decoder.
        unit: float [C], what one int8 latent unit is worth in the picture, up to a factor.
        values: float32 [N, h, w, C], dequantised latents in [-1, 1].
    """
    first = network.get_layer("conv0")
    scale = unit / np.sqrt(np.square(unit * values).sum(axis=-1).mean() / len(unit))
    first.kernel.assign((np.asarray(first.kernel) * scale[:, None]).astype(np.float32))
    network.get_layer("picture").bias.assign(np.full(3, 0.5, np.float32))


def preview_macs_per_pixel(latent: int) -> float:
    """Multiply-accumulates of the preview decoder per picture pixel, its overlapping windows included."""
    total, before = 0.0, latent
    for level, width in enumerate((*WIDTHS, 3)):
        total += 9 * before * width * 4.0**level / 256
        before = width
    inner = WINDOW - 2 * MARGIN
    return total * (WINDOW / inner) ** 2
