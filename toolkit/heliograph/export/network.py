"""An encoder as the compact network file that csrc/heliograph_net.c reads; NETWORK.md specifies it."""

from __future__ import annotations

import math
import struct

import numpy as np
import numpy.typing as npt
from crc32c import crc32c

from heliograph.errors import ExportError
from heliograph.export.graph import Graph, Layer, Tensor

MAGIC = b"HGN1"
MOST_LAYERS, MOST_CHANNELS, MOST_TILE = 32, 512, 1024
CONVOLUTION, MAX_POOL, ADDITION, CONCATENATION = 1, 2, 3, 4
_SAME, _VALID = 0, 1
_RELU, _NONE = 1, 0
_LEFT_SHIFT = 20  # of an addition's inputs, as TFLite has it
_REMEDY = "use an encoder of 2x2 convolutions of stride 2, 1x1 and 3x3 ones, max-pooling, additions and concatenations"


def network_file(graph: Graph, tile: int, channels: int) -> bytes:
    """Return the network file of an int8 encoder, from a tile of pixels [tile, tile, 3] to latents.

    Raises:
        ExportError: the encoder has an operation, a shape or a scale that the file does not hold.
    """
    _check_ends(graph, tile, channels)
    numbers = {graph.inputs[0].index: 0} | {
        layer.outputs[0].index: n for n, layer in enumerate(graph.layers, 1)
    }
    parts = [MAGIC + struct.pack("<HHB3x", tile, channels, len(graph.layers))]
    parts += [_layer(layer, numbers) for layer in graph.layers]
    body = b"".join(parts)
    return body + struct.pack("<I", crc32c(body))


def multiplier_and_shift(scale: float) -> tuple[int, int]:
    """Return a scale in [0, 1] as TFLite does: an integer below 2^31, and by how much more than 31 to shift down."""
    if scale == 0:
        return 0, 0
    fraction, exponent = math.frexp(scale)
    multiplier = round_half_away(fraction * (1 << 31))
    if multiplier == 1 << 31:
        multiplier, exponent = 1 << 30, exponent + 1
    if exponent < -31:
        return 0, 0
    if exponent > 0:
        raise ExportError(f"a layer scales its sums by {scale:g}, expected at most 1; {_REMEDY}")
    return multiplier, -exponent


def round_half_away(x: float) -> int:
    """Return the nearest integer, a half rounded away from zero, as C's round does."""
    return math.floor(x + 0.5) if x >= 0 else math.ceil(x - 0.5)


def _check_ends(graph: Graph, tile: int, channels: int) -> None:
    got = [t.shape for t in (*graph.inputs, *graph.outputs)]
    expected = [(1, tile, tile, 3), (1, tile // 16, tile // 16, channels)]
    if got != expected:
        raise ExportError(f"the encoder maps {got}, expected {expected}; copy the codec folder again")
    kinds = {t.kind for t in (*graph.inputs, *graph.outputs)}
    if kinds != {"int8"} or tile > MOST_TILE or len(graph.layers) > MOST_LAYERS or channels > MOST_CHANNELS:
        raise ExportError(
            f"the encoder has {len(graph.layers)} layers, {channels} channels, tiles of {tile} pixels and "
            f"{', '.join(sorted(kinds))} at its ends, "
            f"expected at most {MOST_LAYERS}, {MOST_CHANNELS}, {MOST_TILE} and int8; {_REMEDY}"
        )


def _layer(layer: Layer, numbers: dict[int, int]) -> bytes:
    makers = {
        "CONV_2D": _convolution,
        "MAX_POOL_2D": _max_pool,
        "ADD": _addition,
        "CONCATENATION": _concatenation,
    }
    if layer.kind not in makers:
        raise ExportError(f"{layer.label} is none of {', '.join(makers)}; {_REMEDY}")
    kind, window, body = makers[layer.kind](layer)
    computed = [t for t in _present(layer) if not t.is_constant]
    if any(t.index not in numbers for t in computed):
        raise ExportError(f"{layer.label} reads what no layer gives; {_REMEDY}")
    sources = [numbers[t.index] for t in computed]
    return bytes([kind, window, sources[0], sources[1] if len(sources) > 1 else 0]) + body


def _present(layer: Layer) -> list[Tensor]:
    return [t for t in layer.inputs if t is not None]


def _need(layer: Layer, met: bool, what: str) -> None:
    if not met:
        raise ExportError(f"{layer.label} has {what}; {_REMEDY}")


def _scale(tensor: Tensor) -> float:
    if len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        raise ExportError(
            f"tensor {tensor.label} is not quantised as a whole; convert the encoder to int8 again"
        )
    return float(np.float32(tensor.scales[0]))


def _limits(layer: Layer) -> tuple[int, int]:
    activation = layer.options.get("fused_activation_function", _NONE)
    _need(layer, activation in (_NONE, _RELU), f"activation {activation}, expected none or ReLU")
    return (max(-128, layer.outputs[0].zero_points[0]) if activation == _RELU else -128), 127


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _convolution(layer: Layer) -> tuple[int, int, bytes]:
    given, weights, *rest = _present(layer)
    bias, result, options = rest[0] if rest else None, layer.outputs[0], layer.options
    count, window = weights.shape[0], weights.shape[1]
    stride, padding = {1: (1, None), 2: (2, _VALID), 3: (1, _SAME)}.get(window, (0, None))
    _need(
        layer,
        weights.shape[1] == weights.shape[2] and stride == options["stride_h"] == options["stride_w"],
        f"a window of {weights.shape[1]}x{weights.shape[2]} and stride {options['stride_h']}",
    )
    _need(layer, padding is None or padding == options["padding"], "another padding than such windows have")
    _need(layer, options["dilation_hfactor"] == options["dilation_wfactor"] == 1, "dilation")
    _need(layer, weights.values is not None and weights.kind == "int8", f"weights of {weights.kind}")
    zero = given.zero_points[0]
    values: npt.NDArray[np.int64] = weights.values.reshape(count, -1).astype(np.int64)
    offsets = np.zeros(count, np.int64) if bias is None else bias.values.astype(np.int64)
    offsets = offsets - zero * values.sum(1)
    _need(layer, bool(np.all(np.abs(offsets) <= 1 << 30)), "a bias above 2^30")
    scales = np.broadcast_to(np.asarray(weights.scales, np.float32), (count,))
    pairs = [multiplier_and_shift(_scale(given) * float(s) / _scale(result)) for s in scales]
    low, high = _limits(layer)
    vector = values.shape[1]
    padded = np.zeros((count, vector + -vector % 4), np.int8)
    padded[:, :vector] = values
    body = struct.pack("<Hbbbb2x", count, zero, result.zero_points[0], low, high)
    body += offsets.astype("<i4").tobytes() + np.array([m for m, _ in pairs], "<i4").tobytes()
    body += _padded(bytes(s for _, s in pairs)) + padded.tobytes()
    return CONVOLUTION, window, body


def _max_pool(layer: Layer) -> tuple[int, int, bytes]:
    options = layer.options
    square = {options[k] for k in ("stride_h", "stride_w", "filter_height", "filter_width")}
    _need(layer, square == {2} and _limits(layer)[0] == -128, "another window than 2x2, or an activation")
    _need_equal_scales(layer)
    return MAX_POOL, 2, b""


def _need_equal_scales(layer: Layer) -> None:
    units = {(t.scales, t.zero_points) for t in (*_present(layer), *layer.outputs)}
    _need(layer, len(units) == 1, "inputs and outputs of different scales")


def _addition(layer: Layer) -> tuple[int, int, bytes]:
    (a, b), result = _present(layer), layer.outputs[0]
    _need(layer, not a.is_constant and not b.is_constant and a.shape == b.shape, "inputs of different shapes")
    twice = 2 * max(_scale(a), _scale(b))
    scales = _scale(a) / twice, _scale(b) / twice, twice / ((1 << _LEFT_SHIFT) * _scale(result))
    pairs = [multiplier_and_shift(s) for s in scales]
    zeros = a.zero_points[0], b.zero_points[0], result.zero_points[0]
    body = struct.pack("<5b3B", *zeros, *_limits(layer), *(s for _, s in pairs))
    return ADDITION, 0, body + struct.pack("<3i", *(m for m, _ in pairs))


def _concatenation(layer: Layer) -> tuple[int, int, bytes]:
    _need(
        layer, len(layer.inputs) == 2 and layer.options["axis"] in (-1, 3), "other than two parts by channel"
    )
    _need(layer, _limits(layer)[0] == -128, "an activation")
    _need_equal_scales(layer)
    return CONCATENATION, 0, b""
