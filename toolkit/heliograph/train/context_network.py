"""The float context network: bits of residuals and flags under tables that a small network chooses.

The loss is the number of bits itself. A value in table units lies between two tables and costs the mean of their costs
weighted by its distance, so the gradient tells each value which way the better table is. With a reference the network
also opens it: a residual's cost, seen between whole residuals, tells the prediction which way is nearer.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from heliograph.codec.levels import LEAST_STEP, LEVELS
from heliograph.codec.masking import Masking
from heliograph.codec.passes import coded, passes
from heliograph.train.context_spec import ContextSpec
from heliograph.train.context_tables import TABLES, TOKENS, cost, costs, flag_cost, slope, start_tables
from heliograph.train.masking import growth

FEATURE_TOP = 127 / 16  # of both stages' features, 127 when integer
VALUE_GAIN = 4.0  # tables per unit of the last stage's output, so that all weights learn at one rate
OFFSET_GAIN = 10.0
GATE_GAIN = 4.0  # integers of an open reference, 64, over those of a feature's unit, 16
LEVEL_UNIT = 512.0
LARGEST_VALUE = 2048.0
_LOG2 = float(np.log(2))
_LEAK = 0.03  # slope of `open` outside 0 to 1 in training, so that what is shut can open
Tensor = Any  # of whichever backend Keras runs on
DIRECT = ((0, 1), (1, 0), (1, 2), (2, 1))  # rows and columns in steps from the upper left neighbour
DIAGONAL = ((0, 0), (0, 2), (2, 0), (2, 2))
PREDICT_TAPS = {
    False: ((0, 1), (2, 1), (1, 0), (1, 2)),
    True: ((0, 0), (0, 2), (2, 0), (2, 2)),
}  # in the format's order


def _magnitude(r: Tensor) -> Tensor:
    """What contexts see of whole numbers, in sixteenths."""
    return ops.round(ops.log(1.0 + ops.minimum(ops.abs(r), 63.0)) * (16.0 / _LOG2)) / 16.0


def _scale(weights: Tensor, gain: float = 1.0) -> Tensor:
    """Return what `context_integers` multiplies weights by: `gain` times the largest power of two that int8 holds."""
    peak = ops.maximum(ops.max(ops.abs(weights)) * gain, 1e-9)
    return gain * 2.0 ** ops.clip(ops.floor(ops.log(127.0 / peak) / _LOG2), 1.0, 20.0)


def _rounded(weights: Tensor, scale: Tensor) -> Tensor:
    """Return weights as whole numbers over `scale`; gradients pass."""
    return weights + ops.stop_gradient(ops.round(weights * scale) / scale - weights)


def _feature(sums: Tensor) -> Tensor:
    """Return features of either stage, in sixteenths from 0 to FEATURE_TOP; gradients pass the rounding."""
    feature = ops.clip(sums, 0.0, FEATURE_TOP)
    return feature + ops.stop_gradient(ops.round(feature * 16.0) / 16.0 - feature)


class ContextNetwork(keras.Model):  # type: ignore[misc]
    """Bits of latents, each residual and flag under the table its context chooses.

    Called with {"latent": [B, size, size, C] in 1/16 unit, "step": [B, C], "rounding": [B, 1] in steps,
    "level": [B, 1]}, and with a reference also {"reference": [B, size, size, C], "reference_level": [B, 1]}, it returns
    float32 [B]: bits per position. `y` of training is the weight of each crop.

    Args:
        spec: layers, groups and features.
        anchors: levels of the offset rows, ascending.
        offsets: float [A, C + Q], starting offsets in table units.
        predict: float [4, 4, P, P], see FORMAT.md, but not in 1/4096.
        masking: of the steps above layer 0.
        size: of the crops, 4 n + 1, so that mirroring at all edges is as in the format.
        alone: the trained network of pictures alone, for one with references; its tables are shared and stay.
    """

    def __init__(
        self,
        spec: ContextSpec,
        anchors: npt.NDArray[np.int64],
        offsets: npt.NDArray[np.float64],
        predict: npt.NDArray[np.float64],
        masking: Masking,
        size: int,
        alone: ContextNetwork | None = None,
    ) -> None:
        super().__init__(name="contexts" if alone is None else "references")
        self.spec, self.anchors, self.size = spec, anchors, size
        self.refers = alone is not None
        self.predict, self.masking = predict.astype(np.float32), masking
        self.offset = self._weight("offset", offsets.shape)
        self.offset.assign(offsets / OFFSET_GAIN)
        self.law = self.add_weight(
            shape=(TABLES, TOKENS), initializer="zeros", trainable=alone is None, name="law"
        )
        self.law.assign(start_tables() if alone is None else alone.law)
        self._sums = [self._group_sums(layer) for layer in range(len(spec.layers))]
        columns = spec.layers[0] + len(spec.groups(0))
        self.coarse_own = None if self.refers else self._weight("coarse_own", (2, columns))
        self.nets: list[dict[str, keras.Variable]] = []
        for layer in range(len(spec.layers)):
            for number in range(3 if self.refers and layer == 0 else 2):
                self.nets.append(self._network(layer, number))
        hats = [np.interp(np.arange(LEVELS), anchors, row) for row in np.eye(len(anchors))]
        self._hats = np.stack(hats, axis=1).astype(np.float32)  # [LEVELS, A]
        self._masks = {
            (layer, number): coded(layer, number, size, size)[None, :, :, None].astype(np.float32)
            for layer in (0, 1)
            for number in range(passes(layer))
        }

    def _group_sums(self, layer: int) -> npt.NDArray[np.float32]:
        """Return the matrix from a layer's channels to its groups' sums, float32 [channels, groups]."""
        start, stop = self.spec.span(layer)
        group = np.arange(stop - start) // self.spec.group
        return np.asarray(group[:, None] == np.arange(len(self.spec.groups(layer))), np.float32)

    def _weight(self, name: str, shape: tuple[int, ...], deviation: float = 0.0) -> keras.Variable:
        start = (
            keras.initializers.RandomNormal(stddev=deviation, seed=len(self.weights))
            if deviation
            else "zeros"
        )
        return self.add_weight(shape=shape, initializer=start, name=name)

    def _network(self, layer: int, number: int) -> dict[str, keras.Variable]:
        first, second = self.spec.features[int(self.refers)]
        start, stop = self.spec.span(layer)
        bare = self.refers and layer == 0 and number == 0  # sees the reference alone
        has_own = layer == 0 or number > 0
        known = 0 if bare else stop if has_own else start
        inputs = 2 * known + stop if self.refers else known
        columns, name = stop - start + len(self.spec.groups(layer)), f"{layer}{number}"
        net = {
            "mix": self._weight(f"mix{name}", (inputs, first), 0.7 / max(inputs, 1) ** 0.5),
            "mix_bias": self._weight(f"mix_bias{name}", (first,)),
            "look": self._weight(f"look{name}", (3, 3, first, second), (9 * first) ** -0.5),
            "look_bias": self._weight(f"look_bias{name}", (second,)),
            "level": self._weight(f"level{name}", (second,)),
            "choose": self._weight(f"choose{name}", (second, columns), 0.1 / second**0.5),
        }
        if has_own:
            net["own"] = self._weight(f"own{name}", (columns,))
        if self.refers:
            if has_own:
                net["change"] = self._weight(f"change{name}", (columns,))
            net["from"] = self._weight(f"from{name}", (second,))
            net["there"] = self._weight(f"there{name}", (columns,))
            net["gate"] = self._weight(f"gate{name}", (second, stop - start), 0.02)
            net["gate_bias"] = self._weight(f"gate_bias{name}", (stop - start,))
            net["gate_bias"].assign(np.full(stop - start, 0.85))
        return net

    def _net(self, layer: int, number: int) -> dict[str, keras.Variable]:
        """Return the network of a pass that has one."""
        if layer:
            return self.nets[2 * layer + number + int(self.refers)]
        return self.nets[max(number - 2, 0) if self.refers else number - 3]

    def _at_level(self, of_anchors: Tensor, level: Tensor) -> Tensor:
        """Return what there is at the anchors, float [A, n], interpolated at levels [B, 1]: float32 [B, n]."""
        row = ops.take(ops.convert_to_tensor(self._hats), ops.cast(level[:, 0], "int32"), axis=0)
        return ops.matmul(row, of_anchors)

    def offsets(self, level: Tensor) -> Tensor:
        """Return the interpolated offsets float32 [B, C + Q] at levels [B, 1], in table units."""
        return self._at_level(self.offset, level) * OFFSET_GAIN

    def _growth(self, value: Tensor, step: Tensor, level: Tensor) -> Tensor:
        """Return the factors of the steps above layer 0, [B, size, size, 1], from its values and steps."""
        m = self.masking
        both = np.stack([m.ordinary, m.strength], axis=1).astype(np.float32)
        both = ops.floor(self._at_level(both, level) + 1e-3)[:, None, None, :]
        return growth(value[..., m.unmasked :], step[..., m.unmasked :], both[..., :1], both[..., 1:])

    def offsets_in_tables(self) -> npt.NDArray[np.float64]:
        """Return the offsets of the anchors, float64 [A, C + Q], in table units."""
        return np.asarray(self.offset, np.float64) * OFFSET_GAIN

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        latent, level = ops.cast(inputs["latent"], "float32"), inputs["level"]
        step, rounding = inputs["step"][:, None, None, :], inputs["rounding"][:, :, None, None]
        offset = self.offsets(level)[:, None, None, :]
        there: Tensor = None
        reference: Tensor = None
        if self.refers:
            reference = ops.cast(inputs["reference"], "float32")
            there = _magnitude(ops.floor(ops.abs(reference) / step + 0.5))
        seen: dict[str, list[Tensor]] = {"residual": [], "change": []}  # magnitudes of earlier layers
        law, total = costs(self.law), 0.0
        flags_at, grown = self.spec.layers[-1], step
        for layer in range(len(self.spec.layers)):
            start, stop = self.spec.span(layer)
            groups = len(self.spec.groups(layer))
            s, y = grown[..., start:stop], latent[..., start:stop]
            r = reference[..., start:stop] if self.refers else None
            state = {name: ops.zeros_like(y) for name in ("value", "residual", "change", "whole", "exact")}
            columns = ops.concatenate(
                [offset[..., start:stop], offset[..., flags_at : flags_at + groups]], axis=-1
            )
            chosen = columns + ops.zeros_like(y[..., :1])
            for number in range(passes(layer)):
                mask = self._masks[min(layer, 1), number]
                of_columns, opened = self._pass(layer, number, state, seen, there, inputs)
                chosen = chosen + of_columns * mask
                guess = self._guess(layer, number, state["value"], r, opened)
                exact = (y - guess) / s
                whole = ops.stop_gradient(ops.sign(exact) * ops.floor(ops.abs(exact) + rounding))
                value = ops.stop_gradient(ops.clip(guess + whole * s, -LARGEST_VALUE, LARGEST_VALUE - 1))
                fresh = {"value": value, "residual": _magnitude(whole), "whole": whole, "exact": exact}
                if self.refers:
                    fresh["change"] = _magnitude(ops.floor(ops.abs(value - r) / s + 0.5))
                state |= {name: state[name] + mask * new for name, new in fresh.items()}
            if layer == 0:
                grown = ops.maximum(
                    ops.floor(step * self._growth(state["value"], s, level) + 0.5), LEAST_STEP
                )
            token = ops.abs(state["whole"])
            flag = ops.cast(ops.matmul(token, self._sums[layer]) > 0, "float32")
            places = chosen[..., : stop - start]
            bits = cost(law, places, token)
            if self.refers:  # less the dead zone, so that the residual is its floor or its ceiling
                bits = bits + slope(law, places, ops.maximum(ops.abs(state["exact"]) + rounding - 0.5, 0.0))
            bits = bits * ops.matmul(flag, self._sums[layer].T.copy())
            total += ops.sum(bits, axis=(1, 2, 3))
            total += ops.sum(flag_cost(chosen[..., stop - start :], flag), axis=(1, 2, 3))
            for name, magnitudes in seen.items():
                magnitudes.append(state[name])
            flags_at += groups
        return total / float(self.size**2)

    def _shifted(self, x: Tensor, far: int, taps: tuple[tuple[int, int], ...]) -> list[Tensor]:
        """Return x [B, size, size, n] at the taps of every position, mirrored at the edges."""
        wide = ops.pad(x, ((0, 0), (far, far), (far, far), (0, 0)), mode="reflect")
        s = self.size
        return [wide[:, far * y : far * y + s, far * x : far * x + s] for y, x in taps]

    def _guess(self, layer: int, number: int, value: Tensor, reference: Tensor, opened: Tensor) -> Tensor:
        """Predictions of a pass, float32 [B, size, size, channels of the layer]."""
        predicted = self.predict.shape[-1]
        near = near_reference = ops.zeros_like(value)
        if layer == 0 and number and predicted:
            far = 2 if number < 3 else 1

            def predict(x: Tensor) -> Tensor:
                taps = self._shifted(x[..., :predicted], far, PREDICT_TAPS[number % 2 == 1])
                sums = sum(ops.matmul(tap, w) for tap, w in zip(taps, self.predict[number - 1], strict=True))
                return ops.pad(sums, ((0, 0), (0, 0), (0, 0), (0, value.shape[-1] - predicted)))

            near = predict(value)
            if self.refers:
                near_reference = predict(reference)
        if not self.refers:
            return near
        shut = near + (reference - near_reference) * opened
        return ops.clip(shut, -LARGEST_VALUE, LARGEST_VALUE - 1)

    def _pass(
        self,
        layer: int,
        number: int,
        state: dict[str, Tensor],
        seen: dict[str, list[Tensor]],
        there: Tensor,
        inputs: dict[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Values of a pass before offsets, [B, size, size, columns] in table units, and how open the reference is."""
        start, stop = self.spec.span(layer)
        far = 2 if layer == 0 and number < 3 else 1
        taps = DIAGONAL if layer == 0 and number % 2 else DIRECT
        if not self.refers and layer == 0 and number == 0:
            return 0.0, None

        def near(name: str) -> Tensor:
            x = sum(self._shifted(state[name], far, taps))
            return ops.concatenate([x, ops.matmul(x, self._sums[layer])], axis=-1)

        if self.coarse_own is not None and layer == 0 and number < 3:
            return near("residual") * self.coarse_own[number - 1], None
        net = self._net(layer, number)
        parts = []
        for name in ("residual", "change") if self.refers else ("residual",):
            if layer == 0 and number < 3:
                break
            parts += seen[name]
            if layer == 0 or number:
                parts.append(state[name])
        if self.refers:
            parts.append(there[..., :stop])
        mixed = (
            ops.matmul(ops.concatenate(parts, axis=-1), _rounded(net["mix"], _scale(net["mix"])))
            + net["mix_bias"]
        )
        padded = ops.pad(_feature(mixed), ((0, 0), (1, 1), (1, 1), (0, 0)))
        scale = _scale(net["look"])
        look = _rounded(net["look"], scale)
        looked = ops.conv(padded, look, padding="valid", data_format="channels_last") + net["look_bias"]
        of_level = scale * 16.0 / LEVEL_UNIT
        levels = _rounded(net["level"], of_level) * inputs["level"] / LEVEL_UNIT
        if self.refers:
            levels = levels + _rounded(net["from"], of_level) * inputs["reference_level"] / LEVEL_UNIT
        looked = _feature(looked + levels[:, None, None, :])
        value = ops.matmul(looked, _rounded(net["choose"], _scale(net["choose"], VALUE_GAIN))) * VALUE_GAIN
        if "own" in net:
            value = value + near("residual") * net["own"]
            if self.refers:
                value = value + near("change") * net["change"]
        if not self.refers:
            return value, None
        mine = there[..., start:stop]
        value = value + ops.concatenate([mine, ops.matmul(mine, self._sums[layer])], axis=-1) * net["there"]
        opened = ops.matmul(looked, _rounded(net["gate"], _scale(net["gate"], GATE_GAIN))) + net["gate_bias"]
        whole = ops.clip(opened, 0.0, 1.0)
        return value, whole + _LEAK * (opened - ops.stop_gradient(opened))

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        return ops.mean(y_pred * y)
