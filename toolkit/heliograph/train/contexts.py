"""The float context network: bits of symbols under tables that a small network chooses.

The loss is the number of bits itself. A value in table units lies between two tables and costs the mean of
their costs weighted by its distance, so the gradient tells each value which way the better table is.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from heliograph.codec.levels import LEVELS

TABLES = 64
TOKENS = 48  # magnitudes 0 to 46, and the rest
SMALLEST, LARGEST = 2.0**-10, 2.0**5.6  # mean magnitudes of the first and the last table


@dataclass(frozen=True)
class ContextSpec:
    """Shape of a context model: cumulative channels of the layers, features of the two stages."""

    layers: tuple[int, ...]
    features: tuple[int, int] = (8, 16)


def table_scales() -> npt.NDArray[np.float64]:
    """Return the mean magnitude each table starts with, float64 [TABLES], geometric."""
    return np.asarray(SMALLEST * (LARGEST / SMALLEST) ** (np.arange(TABLES) / (TABLES - 1)))


def start_tables() -> npt.NDArray[np.float64]:
    """Return log probabilities of magnitudes, float64 [TABLES, TOKENS]: two-sided geometric laws."""
    mean = table_scales()[:, None]
    ratio = mean / (np.sqrt(1 + mean**2) + 1)  # of neighbouring magnitudes, E|k| = 2r / (1 - r^2)
    k = np.arange(TOKENS)[None, :]
    p = (1 - ratio) / (1 + ratio) * ratio**k * np.where(k > 0, 2, 1)
    p[:, -1] = 2 / (1 + ratio[:, 0]) * ratio[:, 0] ** (TOKENS - 1)
    return np.log(p + 1e-9)


class ContextNetwork(keras.Model):  # type: ignore[misc]
    """Bits per position of residuals, each under the table its context chooses.

    Called with {"residual": float [B, h, w, C], "level": [B, 1], "known": float [B, h, w, 1] classes} it
    returns float32 [B, 1]: bits per position.

    Args:
        spec: layers and features.
        anchors: levels of the offset rows, ascending.
        offsets: float [A, C], starting offsets in table units.
    """

    def __init__(
        self, spec: ContextSpec, anchors: npt.NDArray[np.int64], offsets: npt.NDArray[np.float64], size: int
    ) -> None:
        super().__init__(name="contexts")
        self.spec = spec
        first, second = spec.features
        self.anchors = anchors
        self.offset = self.add_weight(shape=offsets.shape, initializer="zeros", name="offset")
        self.offset.assign(offsets / 10)
        self.law = self.add_weight(shape=(TABLES, TOKENS), initializer="zeros", name="law")
        self.law.assign(start_tables())
        y, x = np.mgrid[:size, :size]
        even, coarse = (y + x) % 2 == 0, (y % 2 == 0) & (x % 2 == 0)
        self.masks = {
            "all": np.ones((size, size), bool),
            "even": even,
            "odd": ~even,
            "coarse": coarse,
            "middle": even & ~coarse,
        }
        # layer, positions coded, positions of this layer known
        self.passes = [(0, "middle", "coarse"), (0, "odd", "even")]
        for layer in range(1, len(spec.layers)):
            self.passes += [(layer, "even", None), (layer, "odd", "even")]
        self.nets = []
        for number, (layer, _, own) in enumerate(self.passes):
            known = spec.layers[layer] if own else spec.layers[layer - 1]
            count = spec.layers[layer] - (spec.layers[layer - 1] if layer else 0)

            def weight(name: str, shape: tuple[int, ...], fan: int, scale: float = 1.0) -> object:
                start = keras.initializers.RandomNormal(stddev=scale / np.sqrt(fan), seed=7 * number + len(name))
                return self.add_weight(shape=shape, initializer=start, name=f"{name}{number}")

            self.nets.append(
                {
                    "mix": weight("mix", (known, first), known, 0.7),
                    "mix_bias": self.add_weight(shape=(first,), initializer="zeros", name=f"mb{number}"),
                    "look": weight("look", (3, 3, first, second), 9 * first),
                    "look_bias": self.add_weight(shape=(second,), initializer="zeros", name=f"lb{number}"),
                    "level": self.add_weight(shape=(second,), initializer="zeros", name=f"lv{number}"),
                    "choose": weight("choose", (second, count), second, 0.1),
                }
            )
            if own:
                self.nets[-1]["own"] = self.add_weight(shape=(count,), initializer="zeros", name=f"own{number}")

    def offsets(self, level: object) -> object:
        """Return the interpolated offsets float32 [B, C] at levels [B, 1]."""
        a = self.anchors.astype(np.float32)
        place = np.arange(LEVELS)
        hats = np.stack([np.interp(place, a, np.eye(len(a))[i]) for i in range(len(a))], axis=1)  # [1024, A]
        row = ops.take(ops.convert_to_tensor(hats.astype(np.float32)), ops.cast(level[:, 0], "int32"), axis=0)
        return ops.matmul(row, self.offset) * 10.0

    def cost(self, value: object, residual: object) -> object:
        """Bits of residuals at values in table units, of equal shape."""
        bits = -self.law / float(np.log(2))
        bits = bits + ops.logsumexp(self.law, axis=-1, keepdims=True) / float(np.log(2))
        flat = ops.reshape(bits, (-1,))
        value = ops.clip(value, 0.0, TABLES - 1.001)
        low = ops.floor(value)
        token = ops.minimum(ops.abs(residual), TOKENS - 1.0)
        place = ops.cast(low * TOKENS + token, "int32")
        part = value - ops.stop_gradient(low)
        token_bits = (1 - part) * ops.take(flat, place) + part * ops.take(flat, place + TOKENS)
        return token_bits + ops.cast(residual != 0, "float32")

    def call(self, inputs: dict[str, object], training: bool = False) -> object:
        residual, level = ops.cast(inputs["residual"], "float32"), inputs["level"]
        magnitude = ops.log(1.0 + ops.abs(residual)) / float(np.log(2))
        offset = self.offsets(level)[:, None, None, :]
        total = 0.0
        quiet = (self.masks["coarse"])[None, :, :, None].astype(np.float32)
        c = self.spec.layers[0]
        total += ops.sum(self.cost(offset + 0 * residual[..., :], residual)[..., :c] * quiet, axis=(1, 2, 3))
        for (layer, coded, own), net in zip(self.passes, self.nets, strict=True):
            start, stop = (self.spec.layers[layer - 1] if layer else 0), self.spec.layers[layer]
            value = self.value(net, magnitude, level, start, stop, own, coded) + offset[..., start:stop]
            mask = self.masks[coded][None, :, :, None].astype(np.float32)
            total += ops.sum(self.cost(value, residual[..., start:stop]) * mask, axis=(1, 2, 3))
        return ops.reshape(total / float(np.prod(residual.shape[1:3])), (-1, 1))

    def value(
        self, net: dict[str, object], m: object, level: object, start: int, stop: int, own: str | None, coded: str
    ) -> object:
        """Values of a pass before offsets, float32 [B, h, w, stop - start]."""
        seen = m[..., :start]
        if own:
            mine = m[..., start:stop] * self.masks[own][None, :, :, None].astype(np.float32)
            seen = ops.concatenate([seen, mine], axis=-1)
        mixed = ops.clip(ops.matmul(seen, net["mix"]) + net["mix_bias"], 0.0, 8.0)
        padded = ops.pad(mixed, ((0, 0), (1, 1), (1, 1), (0, 0)))
        looked = ops.conv(padded, net["look"], padding="valid") + net["look_bias"]
        looked = ops.clip(looked + (net["level"] * level / 512.0 )[:, None, None, :], 0.0, 8.0)
        value = ops.matmul(looked, net["choose"]) * 4.0
        if own:
            taps = ((0, 0), (0, 2), (2, 0), (2, 2)) if coded == "middle" else ((0, 1), (1, 0), (1, 2), (2, 1))
            h, w = m.shape[1:3]
            wide = ops.pad(mine, ((0, 0), (1, 1), (1, 1), (0, 0)))
            value = value + net["own"] * sum(wide[:, y : y + h, x : x + w] for y, x in taps)
        return value
