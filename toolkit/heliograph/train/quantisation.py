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


class ActivationRange(layers.Layer):  # type: ignore[misc]
    """Round an activation to the int8 grid of a stored range [low, high]."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.low = self.add_weight(shape=(), initializer="zeros", trainable=False, name="low")
        self.high = self.add_weight(shape=(), initializer="ones", trainable=False, name="high")

    def call(self, x: object) -> object:
        return keras.quantizers.fake_quant_with_min_max_vars(x, self.low, self.high, num_bits=8)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return shape

    def set_range(self, low: float, high: float) -> None:
        """Hold the range; a two-sided range is widened so that its zero point is exactly 0."""
        if low < 0:
            scale = max(-low / 128.0, high / 127.0, 1e-8)
            low, high = -128.0 * scale, 127.0 * scale
        self.low.assign(np.float32(low))
        self.high.assign(np.float32(max(high, 1e-6)))


def _activations(encoder: keras.Model, images: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    names = ["chain2", "chain4", "chain8", "chain16", "branch4", "branch8", "branch16", "latent"]
    probe = keras.Model(encoder.input, [encoder.get_layer(n).output for n in names])
    parts = [probe(images[i : i + 8]) for i in range(0, len(images), 8)]
    return {n: np.concatenate([np.asarray(p[k]) for p in parts]) for k, n in enumerate(names)}


def _peak(x: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.float32]:
    flat = np.abs(x).reshape(-1, x.shape[-1])
    peak: npt.NDArray[np.float32] = np.maximum(np.quantile(flat, share, axis=0), 1e-6).astype(np.float32)
    return peak


def equalise(encoder: keras.Model, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rescale the float encoder's channels in place so that each uses the whole int8 range.

    Every channel of the linear chain is divided by its peak and the next layer's weights multiplied by
    it, which changes nothing in float; the latent's division is undone by the returned units.

    Args:
        encoder: float encoder of `build_encoder`.
        images: float32 [N, H, W, 3] in [0, 1], calibration pictures.

    Returns:
        float32 [C]: the latent's unit, old value per new value (the caller multiplies by it).
    """
    peaks = _activations(encoder, images)

    def divide(name: str, by: npt.NDArray[np.float32]) -> None:
        layer = encoder.get_layer(name)
        layer.kernel.assign(np.asarray(layer.kernel) / by)
        layer.bias.assign(np.asarray(layer.bias) / by)

    def absorb(name: str, by: npt.NDArray[np.float32]) -> None:
        layer = encoder.get_layer(name)
        layer.kernel.assign(np.asarray(layer.kernel) * by[:, None])

    for name, readers in (
        ("chain2", ["chain4"]),
        ("chain4", ["chain8", "branch4"]),
        ("chain8", ["chain16"]),
        ("branch4", ["branch8"]),
        ("branch8", ["branch16"]),
    ):
        by = _peak(peaks[name], 0.9999)
        divide(name, by)
        for reader in readers:
            absorb(reader, by)
    unit = _peak(peaks["latent"], 0.9999) * np.float32(128 / 127)
    divide("chain16", unit)
    divide("branch16", unit)
    return unit


def calibrate_ranges(encoder: keras.Model, quantised: keras.Model, images: npt.NDArray[np.float32]) -> None:
    """Copy an equalised float encoder's weights into its quantised twin and set all ranges from pictures."""
    seen = _activations(encoder, images)
    for layer in encoder.layers:
        if layer.weights:
            quantised.get_layer(layer.name).set_weights(layer.get_weights())
    quantised.get_layer("range_image").set_range(0.0, 1.0)
    for name, x in seen.items():
        low, high = (float(np.quantile(x, q)) for q in (0.00005, 0.99995))
        if name == "latent":
            low, high = -128 * LATENT_SCALE, 127 * LATENT_SCALE
        quantised.get_layer(f"range_{name}").set_range(min(low, 0.0), high)
