"""Makes encoders that accelerators must refuse, by the real conversion: python tests/export/bad_models.py FOLDER

stride4: two 4x4 convolutions of stride 4. shuffled: a DEPTH_TO_SPACE between two convolutions. float: a softplus, which
has no int8 kernel, so that a part of the model stays in float.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

from heliograph.train.convert import to_tflite
from heliograph.train.quantisation import ActivationRange, QuantisedConv2D

TILE = 96


class DepthToSpace(layers.Layer):  # type: ignore[misc]
    """Blocks of 2x2 from groups of four channels."""

    def call(self, x: object) -> object:
        return tf.nn.depth_to_space(x, 2)


def rounded(x: object, name: str, low: float = -1.0, high: float = 127 / 128) -> object:
    """Hold a tensor in an int8 range."""
    layer = ActivationRange(name=f"range_{name}")
    out = layer(x)
    layer.set_range(low, high)
    return out


def conv(x: object, name: str, channels: int, size: int) -> object:
    """A convolution of size x size with that stride, rounded."""
    return rounded(QuantisedConv2D(channels, size, strides=size, padding="valid", name=name)(x), name)


def build(kind: str) -> keras.Model:
    """Return one of the bad encoders."""
    image = keras.Input((TILE, TILE, 3), name="image")
    x = rounded(image, "image", 0.0, 1.0)
    if kind == "stride4":
        return keras.Model(image, conv(conv(x, "patch4", 48, 4), "patch16", 96, 4), name="encoder")
    x = conv(x, "half", 48, 2)
    x = (
        DepthToSpace(name="shuffle")(x)
        if kind == "shuffled"
        else layers.Activation("softplus", name="soft")(x)
    )
    return keras.Model(image, conv(x, "last", 96, 2), name="encoder")


if __name__ == "__main__":
    for name in ("stride4", "shuffled", "float"):
        (Path(sys.argv[1]) / f"{name}.tflite").write_bytes(to_tflite(build(name)))
