"""The float context network: bits of residuals under tables that a small network chooses.

The loss is the number of bits itself. A value in table units lies between two tables and costs the mean of
their costs weighted by its distance, so the gradient tells each value which way the better table is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from heliograph.codec.contexts import coded, passes
from heliograph.codec.levels import LEVELS

TABLES = 64
TOKENS = 48  # magnitudes 0 to 46, and the rest
SMALLEST, LARGEST = 2.0**-10, 2.0**5.6  # mean magnitudes of the first and the last table
FEATURE_TOP = 8.0  # of both stages' features, 127 when integer
VALUE_GAIN = 4.0  # tables per unit of the last stage's output, so that all weights learn at one rate
OFFSET_GAIN = 10.0
_LOG2 = float(np.log(2))
Tensor = Any  # of whichever backend Keras runs on
_DIRECT = ((0, 1), (1, 0), (1, 2), (2, 1))
_DIAGONAL = ((0, 0), (0, 2), (2, 0), (2, 2))


@dataclass(frozen=True)
class ContextSpec:
    """Shape of a context model: cumulative channels of the layers, features of the two stages."""

    layers: tuple[int, ...]
    features: tuple[int, int] = (8, 16)

    def span(self, layer: int) -> tuple[int, int]:
        """Return the first channel of a layer and the one after its last."""
        return (self.layers[layer - 1] if layer else 0), self.layers[layer]


def macs_per_pixel(spec: ContextSpec, predicted: int) -> float:
    """Multiply-adds of the context model per picture pixel when no symbol is zero; zeros are skipped."""
    first, second = spec.features
    total = 4.0 * predicted**2 * 15 / 16
    for layer in range(len(spec.layers)):
        start, stop = spec.span(layer)
        count = stop - start
        if layer == 0:  # networks on 3/4 of the positions, neighbours in 15/16
            total += (
                first * count * (1 / 4 + 1 / 2) + 3 / 4 * second * (9 * first + count) + 15 / 16 * 4 * count
            )
        else:
            total += first * (2 * start + count / 2) + second * (9 * first + count) + 4 * count / 2
    return total / 256


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
    return np.asarray(np.log(p + 1e-9))


class ContextNetwork(keras.Model):  # type: ignore[misc]
    """Bits of residuals, each under the table its context chooses.

    Called with {"residual": [B, size, size, C], "level": [B, 1]} it returns float32 [B]: bits per position.
    `y` of training is the weight of each crop.

    Args:
        spec: layers and features.
        anchors: levels of the offset rows, ascending.
        offsets: float [A, C], starting offsets in table units.
        size: of the crops, a multiple of 4.
    """

    def __init__(
        self, spec: ContextSpec, anchors: npt.NDArray[np.int64], offsets: npt.NDArray[np.float64], size: int
    ) -> None:
        super().__init__(name="contexts")
        self.spec, self.anchors, self.size = spec, anchors, size
        self.offset = self._weight("offset", offsets.shape)
        self.offset.assign(offsets / OFFSET_GAIN)
        self.law = self._weight("law", (TABLES, TOKENS))
        self.law.assign(start_tables())
        self.coarse_own = self._weight("coarse_own", (2, spec.layers[0]))
        self.nets: list[dict[str, keras.Variable]] = []
        for layer in range(len(spec.layers)):
            for second in (False, True):
                self.nets.append(self._network(layer, own=second or layer == 0))
        hats = [np.interp(np.arange(LEVELS), anchors, row) for row in np.eye(len(anchors))]
        self._hats = np.stack(hats, axis=1).astype(np.float32)  # [LEVELS, A]
        self._masks = {
            (layer, number): coded(layer, number, size, size)[None, :, :, None].astype(np.float32)
            for layer in (0, 1)
            for number in range(passes(layer))
        }

    def _weight(self, name: str, shape: tuple[int, ...], deviation: float = 0.0) -> keras.Variable:
        start = (
            keras.initializers.RandomNormal(stddev=deviation, seed=len(self.weights))
            if deviation
            else "zeros"
        )
        return self.add_weight(shape=shape, initializer=start, name=name)

    def _network(self, layer: int, *, own: bool) -> dict[str, keras.Variable]:
        first, second = self.spec.features
        start, stop = self.spec.span(layer)
        known, name = (stop if own else start), f"{layer}{int(own)}{len(self.nets)}"
        net = {
            "mix": self._weight(f"mix{name}", (known, first), 0.7 / known**0.5),
            "mix_bias": self._weight(f"mix_bias{name}", (first,)),
            "look": self._weight(f"look{name}", (3, 3, first, second), (9 * first) ** -0.5),
            "look_bias": self._weight(f"look_bias{name}", (second,)),
            "level": self._weight(f"level{name}", (second,)),
            "choose": self._weight(f"choose{name}", (second, stop - start), 0.1 / second**0.5),
        }
        if own:
            net["own"] = self._weight(f"own{name}", (stop - start,))
        return net

    def offsets(self, level: Tensor) -> Tensor:
        """Return the interpolated offsets float32 [B, C] at levels [B, 1], in table units."""
        row = ops.take(ops.convert_to_tensor(self._hats), ops.cast(level[:, 0], "int32"), axis=0)
        return ops.matmul(row, self.offset) * OFFSET_GAIN

    def cost(self, value: Tensor, residual: Tensor) -> Tensor:
        """Bits of residuals at values in table units, of equal shape."""
        bits = (ops.logsumexp(self.law, axis=-1, keepdims=True) - self.law) / _LOG2
        flat = ops.reshape(bits, (-1,))
        value = ops.clip(value, 0.0, TABLES - 1.001)
        low = ops.stop_gradient(ops.floor(value))
        token = ops.minimum(ops.abs(residual), TOKENS - 1.0)
        place = ops.cast(low * TOKENS + token, "int32")
        part = value - low
        of_token = (1 - part) * ops.take(flat, place) + part * ops.take(flat, place + TOKENS)
        return of_token + ops.cast(ops.not_equal(residual, 0.0), "float32")  # and a sign

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        residual, level = ops.cast(inputs["residual"], "float32"), inputs["level"]
        magnitude = ops.log(1.0 + ops.abs(residual)) / _LOG2
        offset = self.offsets(level)[:, None, None, :]
        total: Tensor = 0.0
        for layer in range(len(self.spec.layers)):
            start, stop = self.spec.span(layer)
            known = ops.zeros_like(magnitude[..., :1])
            value = offset[..., start:stop] + 0.0 * magnitude[..., start:stop]
            for number in range(passes(layer)):
                mask = self._masks[min(layer, 1), number]
                mine = magnitude[..., start:stop] * known
                seen = ops.concatenate([magnitude[..., :start], mine], axis=-1)
                value = value + self._value(layer, number, seen, mine, level) * mask
                known = known + mask
            total += ops.sum(self.cost(value, residual[..., start:stop]), axis=(1, 2, 3))
        return total / float(self.size**2)

    def _value(self, layer: int, number: int, seen: Tensor, mine: Tensor, level: Tensor) -> Tensor:
        """Values of a pass before offsets, float32 [B, size, size, channels of the layer], in table units."""
        far = 2 if layer == 0 and number < 3 else 1
        taps = _DIAGONAL if layer == 0 and number % 2 else _DIRECT
        if layer == 0 and number == 0:
            return 0.0
        wide = ops.pad(mine, ((0, 0), (far, far), (far, far), (0, 0)))
        s = self.size
        near = sum(wide[:, far * y : far * y + s, far * x : far * x + s] for y, x in taps)
        if layer == 0 and number < 3:
            return near * self.coarse_own[number - 1]
        net = self.nets[2 * layer + number if layer else number - 3]
        known = net["mix"].shape[0]
        mixed = ops.matmul(seen[..., :known], net["mix"]) + net["mix_bias"]
        mixed = ops.clip(mixed, 0.0, FEATURE_TOP)
        padded = ops.pad(mixed, ((0, 0), (1, 1), (1, 1), (0, 0)))
        looked = ops.conv(padded, net["look"], padding="valid") + net["look_bias"]
        looked = ops.clip(looked + (net["level"] * level / 512.0)[:, None, None, :], 0.0, FEATURE_TOP)
        value = ops.matmul(looked, net["choose"]) * VALUE_GAIN
        return value + near * net["own"] if "own" in net else value

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        return ops.mean(y_pred * y)
