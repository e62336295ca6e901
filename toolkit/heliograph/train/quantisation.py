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
    # The encoder's channels are equalised to it, and a concatenation's parts need one scale.
    **dict.fromkeys(("chain2", "chain4", "chain8", "branch4", "squeeze8", "mix8b"), (-1.0, 127 / 128)),
    "mix8a": (0.0, 255 / 256),  # after a ReLU, and concatenated with nothing
}
# The encoder's layers from picture to latent, and who reads their channels at which of its inputs: the first, or those
# after the ones of another layer.
READERS: dict[str, tuple[tuple[str, str | None], ...]] = {
    "chain2": (("chain4", None),),
    "chain4": (("chain8", None), ("branch4", None)),
    "chain8": (("squeeze8", None), ("latent", None)),
    "branch4": (("mix8a", "squeeze8"),),
    "squeeze8": (("mix8a", None),),
    "mix8a": (("mix8b", None),),
    "mix8b": (("latent", "chain8"),),
    "latent": (),
}
SHARPER = 1.2  # how much larger than in the calibration pictures a range expects values to be
FINE_ENOUGH = 8  # int8 units in the finest step, whose rounding then adds 1/64 to the step's error

NO_COPIES = np.zeros(0, np.int64)
NARROWEST = 1 / 64  # upper end of a range of activations that are not fixed


class QuantisedConv2D(layers.Conv2D):  # type: ignore[misc]
    """Conv2D whose kernel is rounded to int8 per output channel, symmetric and narrow range."""

    rounds = True  # False lets the kernel through as it is, to see what the rounding does

    def call(self, inputs: object) -> object:
        if not self.rounds:
            return super().call(inputs)
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

    rounds = True  # False lets activations through as they are

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.low = self.add_weight(shape=(), initializer="zeros", trainable=False, name="low")
        self.high = self.add_weight(shape=(), initializer="ones", trainable=False, name="high")

    def call(self, x: object) -> object:
        if not self.rounds:
            return x
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


def input_range(layer: keras.layers.Layer) -> ActivationRange:
    """Return the range in which a convolution's input is rounded, through layers that only move values."""
    source = layer
    while not isinstance(source, ActivationRange):
        inputs = source.input if isinstance(source.input, list) else [source.input]
        source = inputs[0]._keras_history.operation  # what is concatenated has one scale
    return source


def snap_biases(quantised: keras.Model) -> None:
    """Round every bias to what int8 TFLite stores: whole multiples of input scale times weight scale.

    Left alone, that rounding moves values across rounding borders and each later layer multiplies them.
    """
    for layer in quantised.layers:
        if isinstance(layer, QuantisedConv2D):
            scale = input_range(layer).scale * layer.weight_scales()
            layer.bias.assign(
                (np.round(np.asarray(layer.bias, np.float64) / scale) * scale).astype(np.float32)
            )


def _activations(
    network: keras.Model, names: list[str], inputs: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.float32]]:
    probe = keras.Model(network.input, [network.get_layer(n).output for n in names])
    parts = [probe(inputs[i : i + 8]) for i in range(0, len(inputs), 8)]
    return {n: np.concatenate([np.asarray(p[k]) for p in parts]) for k, n in enumerate(names)}


def best_peaks(
    x: npt.NDArray[np.float32], *, widest: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """Return for each channel the half-width of the int8 range that loses least, float32 [C].

    Lost is what is clipped plus what is rounded, as mean squares over the values, float32 [..., C], of which the
    clipped ones are taken at SHARPER times their size: calibration pictures are few and the world is sharper.

    Args:
        widest: float32 [C], a width that costs nothing worth mentioning and is kept where it is larger.
    """
    size = np.abs(x).reshape(-1, x.shape[-1])
    peak = np.maximum(size.max(axis=0), 1e-6)
    candidates = np.geomspace(0.25, SHARPER, 18).astype(np.float32)[:, None] * peak  # [18, C]
    lost = [
        np.square(np.maximum(size * SHARPER - t, 0)).mean(axis=0) + np.square(t) / (12 * 127.0**2)
        for t in candidates
    ]
    best = candidates[np.argmin(lost, axis=0), np.arange(len(peak))]
    if widest is not None:
        best = np.maximum(best, np.minimum(widest, 1.5 * SHARPER * peak))
    return np.asarray(best, np.float32)


def first_input(encoder: keras.Model, behind: str | None) -> int:
    """Return at which of a layer's inputs those begin that follow the channels of another layer, or of none."""
    return int(encoder.get_layer(behind).filters) if behind else 0


def inner_layers(encoder: keras.Model) -> list[str]:
    """Return the keys of READERS before the latent that an encoder has."""
    names = {layer.name for layer in encoder.layers}
    return [name for name in READERS if name in names and name != "latent"]


def readers(encoder: keras.Model, name: str) -> list[tuple[str, str | None]]:
    """Return the entry of READERS for a layer, as far as an encoder has the readers."""
    names = {layer.name for layer in encoder.layers}
    return [(reader, behind) for reader, behind in READERS[name] if reader in names]


def _divide(encoder: keras.Model, name: str, by: npt.NDArray[np.float32]) -> None:
    """Divide a layer's channels and multiply the weights that read them, which changes nothing in float."""
    layer = encoder.get_layer(name)
    layer.kernel.assign(np.asarray(layer.kernel) / by)
    layer.bias.assign(np.asarray(layer.bias) / by)
    for reader, behind in readers(encoder, name):
        first = first_input(encoder, behind)
        layer = encoder.get_layer(reader)
        kernel = np.asarray(layer.kernel).copy()
        kernel[:, :, first : first + len(by)] *= by[:, None]
        layer.kernel.assign(kernel)


def equalise(
    encoder: keras.Model, images: npt.NDArray[np.float32], finest: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Rescale the float encoder's channels in place so that each uses the whole int8 range [-1, 1].

    Every channel is divided by its range and the next layer's weights multiplied by it, which changes nothing
    in float; the latent's division is undone by the returned units.

    Args:
        encoder: float encoder of `build_encoder`.
        images: float32 [N, H, W, 3] in [0, 1], calibration pictures.
        finest: float32 [C], the smallest step that each latent channel will be divided by.

    Returns:
        float32 [C]: the latent's unit, old value per new value (the caller multiplies by it).
    """
    inner = inner_layers(encoder)
    seen = _activations(encoder, [*inner, "latent"], images)
    for name in inner:
        _divide(encoder, name, best_peaks(seen[name]))
    # Channels whose int8 grid is far finer than their finest step trade that for headroom.
    unit = best_peaks(seen["latent"], widest=np.float32(128 / FINE_ENOUGH) * finest)
    _divide(encoder, "latent", unit)
    return unit


def make_room(
    encoder: keras.Model, images: npt.NDArray[np.float32], copies: npt.NDArray[np.int64] = NO_COPIES
) -> npt.NDArray[np.float32]:
    """Rescale those channels of an equalised encoder in place that pictures would take beyond [-1, 127/128].

    Training moves weights under ranges that it holds, and no photograph shows what only pure colours reach: a
    channel of theirs had grown to 1.4, and greens were clipped to 195 of 255.

    Args:
        encoder: equalised, of `build_encoder`.
        images: float32 [N, H, W, 3] in [0, 1].
        copies: of which latent each output after the latents is a further copy; all of one are divided alike.

    Returns:
        float32 [C]: what the latents were divided by, at least 1 (the caller multiplies its unit by it).
    """
    seen = _activations(encoder, [*inner_layers(encoder), "latent"], images)
    factors: dict[str, npt.NDArray[np.float32]] = {
        n: np.maximum(np.abs(x).max(axis=(0, 1, 2)) * np.float32(128 / 127), 1) for n, x in seen.items()
    }
    one, more = np.split(factors["latent"], [len(factors["latent"]) - len(copies)])
    np.maximum.at(one, copies, more)
    factors["latent"] = np.r_[one, one[copies]]
    for name, by in factors.items():
        _divide(encoder, name, by)
    return one


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
    for name, x in (_activations(network, list(ranges), inputs) if ranges else {}).items():
        # The whole range seen: clipping what sharp pictures reach costs more than the finer grid gains.
        # XNNPACK adds no tensors whose scales are more than 2^10 apart, so a silent branch keeps a range.
        ranges[name].set_range(min(float(x.min()), 0.0), max(float(x.max()), NARROWEST))
