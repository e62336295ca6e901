"""Bits in the training loop, with contexts: each symbol's spread, and the first channels' means, from coded symbols.

The order of coding is the format's: channel groups, checkerboard phases within a group, three for the first. The
networks here are small and float; the format's integer ones are fitted once the encoder is frozen.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from heliograph.train.tensors import Tensor, compiled

MIXTURE = 3
FEATURES = 24
FAST = 10.0  # densities are few scalars that must move faster than convolution weights


def groups(channels: int) -> tuple[int, ...]:
    """Return how many channels each group has, of more than 56."""
    first = 16 if channels >= 256 else 8
    return (first, 2 * first, 4 * first, channels - 7 * first)


def _conv(x: Tensor, kernel: Tensor) -> Tensor:
    return ops.conv(x, kernel, padding="same", data_format="channels_last")


class ContextRate(layers.Layer):  # type: ignore[misc]
    """Bits of latents under logistic mixtures whose parameters come from what was coded before."""

    def __init__(self, channels: int, **kwargs: object) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.groups = groups(channels)
        self.density_mean = self.add_weight(shape=(channels,), initializer="zeros", name="density_mean")
        self.density_scale = self.add_weight(
            shape=(channels, MIXTURE), initializer="zeros", name="density_scale"
        )
        self.density_logit = self.add_weight(
            shape=(channels, MIXTURE), initializer="zeros", name="density_logit"
        )
        self.passes: list[dict[str, Tensor] | None] = []
        before = 0
        for number, count in enumerate(self.groups):
            for phase in range(3 if number == 0 else 2):
                seen = before + (count if phase else 0)
                self.passes.append(
                    self._network(f"{number}{phase}", seen, count, number == 0) if seen else None
                )
            before += count
        self._bits = compiled(self._count)

    def _network(self, name: str, seen: int, count: int, predicts: bool) -> dict[str, Tensor]:
        def weight(part: str, *shape: int, gain: float = 1.0) -> Tensor:
            scale = gain * float(np.sqrt(2 / np.prod(shape[:-1])))
            normal = keras.initializers.RandomNormal(stddev=scale) if gain else "zeros"
            return self.add_weight(shape=shape, initializer=normal, name=f"{part}{name}")

        weights = {
            "a": weight("a", 3, 3, seen, FEATURES),
            "a_bias": weight("a_bias", FEATURES, gain=0),
            "quality": weight("quality", 2, FEATURES, gain=0),
            "b": weight("b", 1, 1, FEATURES, FEATURES),
            "b_bias": weight("b_bias", FEATURES, gain=0),
            "out": weight("out", 1, 1, FEATURES, count, gain=0.05),
            "out_bias": weight("out_bias", count, gain=0),
        }
        if predicts:
            weights["mean"] = weight("mean", 3, 3, count, count, gain=0)
            weights["mean_bias"] = weight("mean_bias", count, gain=0)
        return weights

    def call(self, noisy: Tensor, step: Tensor, quality: Tensor, latent: Tensor) -> Tensor:
        """Return bits float [B, h, w, C] of noisy latents; contexts see `latent` rounded, as a decoder will.

        Args:
            noisy: float [B, h, w, C], what stands for the rounded latents in the count.
            step: float [B, 1, 1, C].
            quality: float [B, 1].
            latent: float [B, h, w, C].
        """
        return self._bits(noisy, step, quality, latent)

    def _count(self, noisy: Tensor, step: Tensor, quality: Tensor, latent: Tensor) -> Tensor:
        symbols = ops.stop_gradient(ops.round(latent / step))
        size, values = ops.log1p(ops.abs(symbols)), symbols * step
        _, height, width, _ = ops.shape(noisy)
        row = ops.arange(height)[:, None] % 2
        column = ops.arange(width)[None, :] % 2

        def where(condition: Tensor) -> Tensor:
            return ops.cast(condition, "float32")[None, :, :, None]

        even = where(ops.logical_and(row == 0, column == 0))
        odd = where(ops.logical_and(row == 1, column == 1))
        board = where((row + column) % 2 == 0)
        condition = ops.concatenate([quality, quality * quality], axis=1)
        total, before, number = [], 0, 0
        for group, count in enumerate(self.groups):
            here = slice(before, before + count)
            middle = self.density_mean[here] * FAST
            spread, mean = 0.0, middle
            phases = (
                [(even, None), (odd, even), (1 - board, board)]
                if group == 0
                else [(board, None), (1 - board, board)]
            )
            for now, known in phases:
                network = self.passes[number]
                number += 1
                if network is None:
                    continue
                inputs = [size[..., :before]] if before else []
                if known is not None:
                    inputs.append(size[..., here] * known)
                x = _conv(ops.concatenate(inputs, axis=-1), network["a"]) + network["a_bias"]
                x = ops.relu(x + ops.matmul(condition, network["quality"])[:, None, None])
                x = ops.relu(_conv(x, network["b"]) + network["b_bias"])
                spread = spread + (_conv(x, network["out"]) + network["out_bias"]) * now
                if "mean" in network and known is not None:
                    apart = (values[..., here] - middle) * known
                    ones = np.ones((3, 3, count, 1), np.float32)
                    around = ops.depthwise_conv(apart, ones, padding="same", data_format="channels_last")
                    near = ops.depthwise_conv(
                        known * ops.ones_like(apart[:1]), ones, padding="same", data_format="channels_last"
                    )
                    learnt = _conv(apart, network["mean"]) + network["mean_bias"]
                    mean = mean + (around / ops.maximum(near, 1.0) + learnt) * now
            scale = ops.exp(self.density_scale[here] * FAST + ops.clip(spread, -6.0, 6.0)[..., None])
            distance = ops.abs(noisy[..., here] - mean)[..., None]  # symmetric: keeps the difference accurate
            half = 0.5 * step[..., here, None]
            mass = ops.sigmoid((half - distance) / scale) - ops.sigmoid((-half - distance) / scale)
            mass = ops.sum(ops.softmax(self.density_logit[here] * FAST, axis=-1) * mass, axis=-1)
            total.append(-ops.log(ops.maximum(mass, 1e-7)) / float(np.log(2)))
            before += count
        return ops.concatenate(total, axis=-1)
