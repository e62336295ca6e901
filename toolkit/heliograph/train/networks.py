"""The networks: the device's encoder and the server's decoder, on any Keras 3 backend.

The encoder is one function for float and for quantisation-aware training: the same layer names carry
the same weights, and `quantised=True` puts fake quantisation where the int8 model will round.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers, ops

from heliograph.train.quantisation import ActivationRange, QuantisedConv2D


@dataclass(frozen=True)
class EncoderSpec:
    """Shape of an encoder: channel counts of the linear chain and the branch, and the device's tile."""

    middle: int  # channels of the linear chain at 1/8
    latent: int  # channels of the latent at 1/16
    branch: tuple[int, int]  # channels of the branch at 1/4 and 1/8
    tile: int  # pixels, multiple of 16


@dataclass(frozen=True)
class DecoderSpec:
    """Shape of a server decoder: width and residual blocks at 1/16, 1/8, 1/4 and 1/2 resolution."""

    widths: tuple[int, int, int, int] = (256, 128, 64, 32)
    blocks: tuple[int, int, int, int] = (3, 2, 2, 1)


ENCODERS = {
    "accelerator": EncoderSpec(middle=96, latent=192, branch=(64, 96), tile=256),
    "microcontroller": EncoderSpec(middle=64, latent=96, branch=(16, 32), tile=96),
}


def build_encoder(spec: EncoderSpec, *, quantised: bool = False, tile: int | None = None) -> keras.Model:
    """Return the encoder: float32 [B, H, W, 3] in [0, 1] to latents [B, H/16, W/16, C].

    Args:
        spec: channel counts.
        quantised: insert fake quantisation exactly where int8 TFLite rounds.
        tile: fix H = W = tile (needed for conversion); None accepts any multiple of 16.
    """

    def conv(name: str, channels: int, size: int, stride: int, activation: str | None = None) -> keras.Layer:
        kind = QuantisedConv2D if quantised else layers.Conv2D
        return kind(
            channels,
            size,
            strides=stride,
            padding="valid" if stride == 2 else "same",
            activation=activation,
            name=name,
        )

    def rounded(x: object, name: str) -> object:
        return ActivationRange(name=name)(x) if quantised else x

    image = keras.Input((tile, tile, 3), name="image")
    x = rounded(image, "range_image")
    x = rounded(conv("chain2", 12, 2, 2)(x), "range_chain2")  # [B, H/2, W/2, 12]
    u = rounded(conv("chain4", 48, 2, 2)(x), "range_chain4")  # [B, H/4, W/4, 48]
    x = rounded(conv("chain8", spec.middle, 2, 2)(u), "range_chain8")  # [B, H/8, W/8, middle]
    linear = rounded(conv("chain16", spec.latent, 2, 2)(x), "range_chain16")  # [B, H/16, W/16, C]
    b = rounded(conv("branch4", spec.branch[0], 3, 1, "relu")(u), "range_branch4")
    b = layers.MaxPooling2D(2, name="pool8")(b)  # [B, H/8, W/8, branch0]
    b = rounded(conv("branch8", spec.branch[1], 3, 1, "relu")(b), "range_branch8")
    b = layers.MaxPooling2D(2, name="pool16")(b)  # [B, H/16, W/16, branch1]
    b = rounded(conv("branch16", spec.latent, 3, 1)(b), "range_branch16")
    latent = layers.Add(name="latent")([linear, b])
    latent = rounded(latent, "range_latent")
    return keras.Model(image, latent, name="encoder")


class DepthToSpace(layers.Layer):  # type: ignore[misc]
    """Move blocks of channels into space: [B, H, W, f*f*C] to [B, f*H, f*W, C]."""

    def __init__(self, factor: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: object) -> object:
        f = self.factor
        _, h, w, c = ops.shape(x)
        x = ops.reshape(x, (-1, h, w, f, f, c // (f * f)))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, h * f, w * f, c // (f * f)))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        b, h, w, c = shape
        assert c is not None
        f = self.factor
        return (b, h and h * f, w and w * f, c // (f * f))


class PerChannel(layers.Layer):  # type: ignore[misc]
    """Multiply each channel by a constant that is stored with the weights but not trained."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", trainable=False, name="scale")

    def call(self, x: object) -> object:
        return x * ops.cast(self.scale, self.compute_dtype)


class Modulation(layers.Layer):  # type: ignore[misc]
    """Scale and shift channels by the quality (FiLM, Perez et al. 2018, section 2)."""

    def build(self, shapes: list[tuple[int | None, ...]]) -> None:
        channels = shapes[0][-1]
        features = shapes[1][-1]
        self.kernel = self.add_weight(shape=(features, 2 * channels), initializer="zeros", name="kernel")

    def call(self, inputs: list[object]) -> object:
        x, condition = inputs
        both = ops.matmul(condition, ops.cast(self.kernel, self.compute_dtype))[:, None, None, :]
        scale, shift = ops.split(both, 2, axis=-1)
        return x * (1 + scale) + shift

    def compute_output_shape(self, shapes: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return shapes[0]


def _residual(x: object, condition: object, channels: int, name: str) -> object:
    """Bottleneck residual block, its middle modulated by the quality, starting as the identity."""
    half = channels // 2
    h = layers.Conv2D(half, 1, name=f"{name}_in")(x)
    h = Modulation(name=f"{name}_quality")([h, condition])
    h = layers.Activation("relu", name=f"{name}_relu")(h)
    h = layers.Conv2D(half, 3, padding="same", activation="relu", name=f"{name}_middle")(h)
    h = layers.Conv2D(channels, 1, name=f"{name}_out")(h)
    return layers.Add(name=f"{name}_add")([x, h])


def build_decoder(spec: DecoderSpec, latent: int) -> keras.Model:
    """Return the server decoder: latents float [B, h, w, C] and quality float [B, 1] in [0, 1] to
    float32 [B, 16h, 16w, 3], nominally in [0, 1] but not clipped.
    """
    y = keras.Input((None, None, latent), name="latent")
    quality = keras.Input((1,), name="quality")
    condition = layers.Dense(32, activation="relu", name="quality_features")(quality)
    linear = layers.Conv2D(768, 1, name="inverse")(y)  # the inverse DCT of each 16x16 block
    linear = DepthToSpace(16, name="inverse_space", dtype="float32")(linear)

    x = PerChannel(name="latent_norm")(y)
    x = layers.Conv2D(spec.widths[0], 3, padding="same", name="enter")(x)
    for level, (width, blocks) in enumerate(zip(spec.widths, spec.blocks, strict=True)):
        if level:
            x = layers.Conv2D(4 * width, 1, name=f"up{level}")(x)
            x = DepthToSpace(2, name=f"up{level}_space")(x)
        for block in range(blocks):
            x = _residual(x, condition, width, f"level{level}_block{block}")
    x = layers.Conv2D(12, 3, padding="same", kernel_initializer="zeros", name="leave")(x)
    x = DepthToSpace(2, name="leave_space", dtype="float32")(x)
    picture = layers.Add(name="picture", dtype="float32")([linear, x])
    return keras.Model([y, quality], picture, name="decoder")


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


def decoder_macs_per_pixel(spec: DecoderSpec, latent: int) -> float:
    """Multiply-accumulates of the server decoder per picture pixel, counted from the layer shapes."""
    total = latent * 768 / 256 + 9 * latent * spec.widths[0] / 256
    for level, (width, blocks) in enumerate(zip(spec.widths, spec.blocks, strict=True)):
        area = 256 / 4**level
        if level:
            total += spec.widths[level - 1] * 4 * width / (area * 4)
        half = width // 2
        total += blocks * (2 * width * half + 9 * half * half) / area
    return total + 9 * spec.widths[3] * 12 / 4
