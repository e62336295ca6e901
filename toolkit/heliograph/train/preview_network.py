"""The preview decoder: a small int8 network, so that a machine without a GPU or Keras can show a picture."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from heliograph.codec.tiles import STRIDE
from heliograph.codec.windows import MARGIN, WINDOW
from heliograph.server.network import DepthToSpace
from heliograph.train.quantisation import ActivationRange, QuantisedConv2D

WIDTH = 256  # channels of the hidden layers
BLOCK = 3 * STRIDE * STRIDE  # samples of the pixels that one latent position stands for
# Share of the learning rate: this layer reads ReLUs and writes pixels; see loop.Adam.
LAYER_SCALES = {"detail": 0.05}


def build_preview(latent: int, *, quantised: bool = False, window: int = WINDOW) -> keras.Model:
    """Return the preview decoder: latents [B, window, window, C] in [-1, 1) to [B, 16*window, 16*window, 3].

    A linear inverse of each block plus a correction from its neighbours, all computed at the latents' resolution;
    only the last step moves channels into space. Enlarging by repetition instead was stuck at 23.6 dB: a
    convolution after it cannot tell at which of the repeated places it stands.
    The outer MARGIN latents are context: what they cover of the output lacks neighbours and is cut away.
    """

    def conv(name: str, channels: int, size: int, activation: str | None) -> keras.Layer:
        kind = QuantisedConv2D if quantised else layers.Conv2D
        return kind(
            channels,
            size,
            padding="same",
            activation=activation,
            kernel_initializer="he_normal" if activation else "zeros",
            dtype="float32",
            name=name,
        )

    def rounded(x: object, name: str) -> object:
        return ActivationRange(name=f"range_{name}", dtype="float32")(x) if quantised else x

    latents = keras.Input((window, window, latent), name="latent")
    y = rounded(latents, "latent")
    linear = rounded(conv("linear", BLOCK, 1, None)(y), "linear")  # [B, window, window, 768]
    x = rounded(conv("hidden1", WIDTH, 3, "relu")(y), "hidden1")
    x = rounded(conv("hidden2", WIDTH, 3, "relu")(x), "hidden2")
    x = rounded(conv("detail", BLOCK, 1, None)(x), "detail")
    x = rounded(layers.Add(dtype="float32", name="picture")([linear, x]), "picture")
    return keras.Model(latents, DepthToSpace(STRIDE, dtype="float32", name="space")(x), name="preview")


def start(
    network: keras.Model,
    inverse: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    unit: npt.NDArray[np.float64],
    values: npt.NDArray[np.float32],
) -> None:
    """Start at the server decoder's linear inverse, the hidden layers weighting channels as the picture does.

    Args:
        network: float preview decoder.
        inverse: kernel [1, 1, C, 768] and bias [768] of the server decoder's layer of that name.
        unit: float [C], what one int8 latent unit is worth in the picture, up to a factor.
        values: float32 [N, h, w, C], dequantised latents in [-1, 1].
    """
    network.get_layer("linear").set_weights(list(inverse))
    first = network.get_layer("hidden1")
    scale = unit / np.sqrt(np.square(unit * values).sum(axis=-1).mean() / len(unit))
    first.kernel.assign((np.asarray(first.kernel) * scale[:, None]).astype(np.float32))


def preview_macs_per_pixel(latent: int) -> float:
    """Multiply-accumulates of the preview decoder per picture pixel, its overlapping windows included."""
    total = (latent * BLOCK + 9 * latent * WIDTH + 9 * WIDTH * WIDTH + WIDTH * BLOCK) / STRIDE**2
    return total * (WINDOW / (WINDOW - 2 * MARGIN)) ** 2
