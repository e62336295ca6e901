"""The server's decoder network: latents to a picture, conditioned on quality, on any Keras 3 backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers, ops

Mask = Callable[[object], object]


@dataclass(frozen=True)
class DecoderSpec:
    """Shape of a server decoder: width and residual blocks at 1/16, 1/8, 1/4 and 1/2 resolution."""

    widths: tuple[int, int, int, int] = (256, 128, 64, 32)
    blocks: tuple[int, int, int, int] = (3, 2, 2, 1)


DECODERS = {
    "small": DecoderSpec(),  # 14 kMAC per pixel with 384 latent channels: what an encoder learns with
    "medium": DecoderSpec(
        widths=(384, 192, 96, 48), blocks=(5, 4, 3, 2)
    ),  # 37 kMAC per pixel, for a server's CPU
    "large": DecoderSpec(widths=(512, 384, 192, 96), blocks=(8, 6, 4, 2)),  # 139 kMAC per pixel, for a GPU
}


class DepthToSpace(layers.Layer):  # type: ignore[misc]
    """Move blocks of channels into space: [B, H, W, f*f*C] to [B, f*H, f*W, C]."""

    def __init__(self, factor: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: object) -> object:
        f = self.factor
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            return tf.nn.depth_to_space(x, f)  # one operation, which also converts to one
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
        channels = int(shapes[0][-1] or 0)
        features = shapes[1][-1]
        self.kernel = self.add_weight(shape=(features, 2 * channels), initializer="zeros", name="kernel")

    def call(self, inputs: list[object]) -> object:
        x, condition = inputs
        both = ops.matmul(condition, ops.cast(self.kernel, self.compute_dtype))[:, None, None, :]
        scale, shift = ops.split(both, 2, axis=-1)
        return x * (1 + scale) + shift

    def compute_output_shape(self, shapes: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return shapes[0]


class Within(layers.Layer):  # type: ignore[misc]
    """Zero what lies beyond a picture's extent, int32 [B, 2] in latents: the border that it has without padding.

    Every 3x3 convolution pads with zeros. In a picture that was itself padded to a common size they would see what
    the layers before made of the padding; with this before each of them they see zeros again, and all within the
    extent is as if there were no padding.
    """

    def __init__(self, per_latent: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.per_latent = per_latent  # positions of the layer's input along a latent's side

    def call(self, inputs: list[object]) -> object:
        x, extent = inputs
        _, rows, columns, _ = ops.shape(x)
        down = ops.arange(rows, dtype="int32")[None, :] < self.per_latent * extent[:, :1]  # type: ignore[index]
        across = ops.arange(columns, dtype="int32")[None, :] < self.per_latent * extent[:, 1:]  # type: ignore[index]
        inside = ops.logical_and(down[:, :, None], across[:, None, :])[..., None]
        return ops.where(inside, x, ops.zeros((), x.dtype))  # type: ignore[attr-defined]

    def compute_output_shape(self, shapes: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return shapes[0]


def _residual(x: object, condition: object, channels: int, name: str, mask: Mask) -> object:
    """Bottleneck residual block, its middle modulated by the quality, starting as the identity."""
    half = channels // 2
    h = layers.Conv2D(half, 1, name=f"{name}_in")(x)
    h = Modulation(name=f"{name}_quality")([h, condition])
    h = layers.Activation("relu", name=f"{name}_relu")(h)
    h = layers.Conv2D(half, 3, padding="same", activation="relu", name=f"{name}_middle")(mask(h))
    h = layers.Conv2D(channels, 1, name=f"{name}_out")(h)
    return layers.Add(name=f"{name}_add")([x, h])


def build_decoder(spec: DecoderSpec, latent: int, *, masked: bool = False) -> keras.Model:
    """Return the server decoder: latents float [B, h, w, C] and quality float [B, 1] in [0, 1] to
    float32 [B, 16h, 16w, 3], nominally in [0, 1] but not clipped.

    With `masked` it takes a third input, the extents int32 [B, 2] of pictures that are padded to a common size,
    and what it gives within them is what it gives without the padding. The weights are the same.
    """
    y = keras.Input((None, None, latent), name="latent")
    quality = keras.Input((1,), name="quality")
    extent = keras.Input((2,), dtype="int32", name="extent")

    def mask_at(per_latent: int) -> Mask:
        return (lambda x: Within(per_latent)([x, extent])) if masked else (lambda x: x)

    condition = layers.Dense(32, activation="relu", name="quality_features")(quality)
    linear = layers.Conv2D(768, 1, name="inverse", dtype="float32")(y)  # the inverse DCT of each 16x16 block
    linear = DepthToSpace(16, name="inverse_space", dtype="float32")(linear)

    x = PerChannel(name="latent_norm")(y)
    x = layers.Conv2D(spec.widths[0], 3, padding="same", name="enter")(mask_at(1)(x))
    for scale, (width, blocks) in enumerate(zip(spec.widths, spec.blocks, strict=True)):
        if scale:
            x = layers.Conv2D(4 * width, 1, name=f"up{scale}")(x)
            x = DepthToSpace(2, name=f"up{scale}_space")(x)
        for block in range(blocks):
            name = f"level{scale}_block{block}"  # as weights in files are named
            x = _residual(x, condition, width, name, mask_at(2**scale))
    x = layers.Conv2D(12, 3, padding="same", kernel_initializer="zeros", name="leave")(mask_at(8)(x))
    x = DepthToSpace(2, name="leave_space", dtype="float32")(x)
    picture = layers.Add(name="picture", dtype="float32")([linear, x])
    return keras.Model([y, quality, extent] if masked else [y, quality], picture, name="decoder")


def decoder_parameters(spec: DecoderSpec, latent: int) -> int:
    """Numbers in the file of a server decoder, counted from the layer shapes."""
    first, last = spec.widths[0], spec.widths[3]
    total = 64 + 768 * (latent + 1) + latent + first * (9 * latent + 1) + 12 * (9 * last + 1)
    for before, width in zip(spec.widths[:3], spec.widths[1:], strict=True):
        total += 4 * width * (before + 1)
    for width, blocks in zip(spec.widths, spec.blocks, strict=True):
        half = width // 2
        total += blocks * (half * (width + 1) + 64 * half + half * (9 * half + 1) + width * (half + 1))
    return total


def decoder_macs_per_pixel(spec: DecoderSpec, latent: int) -> float:
    """Multiply-accumulates of the server decoder per picture pixel, counted from the layer shapes."""
    total = latent * 768 / 256 + 9 * latent * spec.widths[0] / 256
    for scale, (width, blocks) in enumerate(zip(spec.widths, spec.blocks, strict=True)):
        area = 256 / 4**scale
        if scale:
            total += spec.widths[scale - 1] * 4 * width / (area * 4)
        half = width // 2
        total += blocks * (2 * width * half + 9 * half * half) / area
    return total + 9 * spec.widths[3] * 12 / 4


def reach(spec: DecoderSpec) -> int:
    """Return how many latents away a pixel can depend on, rounded up to whole latents."""
    total = 1.0 + 1 / 8  # the first and the last 3x3 convolution
    for scale, blocks in enumerate(spec.blocks):
        total += blocks / 2**scale
    return int(-(-total // 1))
