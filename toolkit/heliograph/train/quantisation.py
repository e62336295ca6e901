"""Fake quantisation for training: thin layers whose rounding the TFLite converter folds exactly.

Ranges are calibrated once when quantisation-aware training starts and then held, so that the weights
adapt to a fixed integer grid instead of chasing a moving one.
"""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

LATENT_SCALE = 1.0 / 128.0  # the int8 latent tensor covers [-1, 127/128]
# Ranges of the tensors that other programs read and write.
FIXED_RANGES = {
    "image": (0.0, 1.0),
    "picture": (0.0, 1.0),
    "latent": (-128 * LATENT_SCALE, 127 * LATENT_SCALE),
}


NARROWEST = 1 / 64  # upper end of a range of equalised activations, which reach about 1


class QuantisedConv2D(layers.Conv2D):  # type: ignore[misc]
    """Conv2D whose kernel is rounded to int8 per output channel, symmetric and narrow range."""

    def call(self, inputs: object) -> object:
        limit = ops.maximum(ops.max(ops.abs(self.kernel), axis=(0, 1, 2)), 1e-8)  # [out]
        kernel = keras.quantizers.fake_quant_with_min_max_vars(
            self.kernel, -limit, limit, num_bits=8, narrow_range=True, axis=-1
        )
        x = self.convolution_op(inputs, kernel)
        x = x + ops.reshape(self.bias, (1, 1, 1, self.filters))
        return self.activation(x)

    def weight_scales(self) -> npt.NDArray[np.float64]:
        """Return the int8 scale of each output channel's weights, float64 [out]."""
        peak = np.abs(np.asarray(self.kernel, np.float64)).max(axis=(0, 1, 2))
        return np.asarray(np.maximum(peak, 1e-8) / 127)


class ActivationRange(layers.Layer):  # type: ignore[misc]
    """Round an activation to the int8 grid of a stored range [low, high]."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.low = self.add_weight(shape=(), initializer="zeros", trainable=False, name="low")
        self.high = self.add_weight(shape=(), initializer="ones", trainable=False, name="high")

    def call(self, x: object) -> object:
        return keras.quantizers.fake_quant_with_min_max_vars(x, self.low, self.high, num_bits=8)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape

    @property
    def scale(self) -> float:
        """The width of one int8 step."""
        return (float(self.high.value) - float(self.low.value)) / 255

    def set_range(self, low: float, high: float) -> None:
        """Hold the range; a two-sided range is widened so that its zero point is exactly 0."""
        if low < 0:
            scale = max(-low / 128.0, high / 127.0, 1e-8)
            low, high = -128.0 * scale, 127.0 * scale
        self.low.assign(np.float32(low))
        self.high.assign(np.float32(max(high, 1e-6)))


def _input_range(layer: keras.layers.Layer) -> ActivationRange:
    """Return the range in which a convolution's input is rounded, through layers that only move values."""
    source = layer.input._keras_history.operation
    while not isinstance(source, ActivationRange):
        source = source.input._keras_history.operation
    return source


def snap_biases(quantised: keras.Model) -> None:
    """Round every bias to what int8 TFLite stores: whole multiples of input scale times weight scale.

    Left alone, that rounding moves values across rounding borders and each later layer multiplies them.
    """
    for layer in quantised.layers:
        if isinstance(layer, QuantisedConv2D):
            scale = _input_range(layer).scale * layer.weight_scales()
            layer.bias.assign(
                (np.round(np.asarray(layer.bias, np.float64) / scale) * scale).astype(np.float32)
            )


def _activations(
    network: keras.Model, names: list[str], inputs: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.float32]]:
    probe = keras.Model(network.input, [network.get_layer(n).output for n in names])
    parts = [probe(inputs[i : i + 8]) for i in range(0, len(inputs), 8)]
    return {n: np.concatenate([np.asarray(p[k]) for p in parts]) for k, n in enumerate(names)}


def _peak(x: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.float32]:
    flat = np.abs(x).reshape(-1, x.shape[-1])
    peak: npt.NDArray[np.float32] = np.maximum(np.quantile(flat, share, axis=0), 1e-6).astype(np.float32)
    return peak


def equalise(
    encoder: keras.Model, images: npt.NDArray[np.float32], finest: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Rescale the float encoder's channels in place so that each uses the whole int8 range.

    Every channel of the linear chain is divided by its peak and the next layer's weights multiplied by
    it, which changes nothing in float; the latent's division is undone by the returned units.

    Args:
        encoder: float encoder of `build_encoder`.
        images: float32 [N, H, W, 3] in [0, 1], calibration pictures.
        finest: float32 [C], the smallest step that each latent channel will be divided by.

    Returns:
        float32 [C]: the latent's unit, old value per new value (the caller multiplies by it).
    """
    chain = (
        ("chain2", ["chain4"]),
        ("chain4", ["chain8", "branch4"]),
        ("chain8", ["chain16"]),
        ("branch4", ["branch8"]),
        ("branch8", ["branch16"]),
    )
    peaks = _activations(encoder, [*(name for name, _ in chain), "latent"], images)

    def divide(name: str, by: npt.NDArray[np.float32]) -> None:
        layer = encoder.get_layer(name)
        layer.kernel.assign(np.asarray(layer.kernel) / by)
        layer.bias.assign(np.asarray(layer.bias) / by)

    def absorb(name: str, by: npt.NDArray[np.float32]) -> None:
        layer = encoder.get_layer(name)
        layer.kernel.assign(np.asarray(layer.kernel) * by[:, None])

    for name, readers in chain:
        by = _peak(peaks[name], 0.9999)
        divide(name, by)
        for reader in readers:
            absorb(reader, by)
    # Channels whose int8 grid is far finer than their finest step trade that for headroom.
    unit = _peak(peaks["latent"], 0.99999) * np.float32(128 / 127)
    unit = np.maximum(unit, np.minimum(2 * unit, 128 * finest / 5)).astype(np.float32)
    divide("chain16", unit)
    divide("branch16", unit)
    return np.asarray(unit)


def calibrate_ranges(network: keras.Model, quantised: keras.Model, inputs: npt.NDArray[np.float32]) -> None:
    """Copy a float network's weights into its quantised twin and set all ranges from inputs of [N, H, W, C].

    Ends whose int8 meaning is fixed get that: pictures [0, 1], latents [-1, 127/128].
    """
    for layer in network.layers:
        if layer.weights:
            quantised.get_layer(layer.name).set_weights(layer.get_weights())
    ranges = {n.name.removeprefix("range_"): n for n in quantised.layers if isinstance(n, ActivationRange)}
    for name, (low, high) in FIXED_RANGES.items():
        if name in ranges:
            ranges.pop(name).set_range(low, high)
    for name, x in _activations(network, list(ranges), inputs).items():
        # The whole range seen: clipping what sharp pictures reach costs more than the finer grid gains.
        # XNNPACK adds no tensors whose scales are more than 2^10 apart, so a silent branch keeps a range.
        ranges[name].set_range(min(float(x.min()), 0.0), max(float(x.max()), NARROWEST))
