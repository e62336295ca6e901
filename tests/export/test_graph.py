"""The reader of .tflite files."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.codec.codec import Codec
from heliograph.errors import CodecError
from heliograph.export.graph import Graph, Layer, Tensor, read_graph


def test_the_shipped_encoder_is_read(shipped: Codec) -> None:
    graph = read_graph(shipped.encoder)
    assert set(graph.kinds) <= {"ADD", "CONCATENATION", "CONV_2D", "MAX_POOL_2D", "QUANTIZE"}
    assert round(graph.macs / shipped.tile**2 / 1000, 2) == shipped.manifest["encoder"]["kmac_per_pixel"]
    first = graph.layers[0]
    assert first.label.startswith("layer 0 CONV_2D (encoder")
    assert (first.options["stride_h"], first.options["dilation_wfactor"]) == (2, 1)
    weights = first.inputs[1]
    assert weights is not None
    assert weights.shape == (24, 2, 2, 3)
    assert weights.values.dtype == np.int8
    assert weights.size == weights.stored == 288
    assert graph.inputs[0].scales == pytest.approx((1 / 255,))
    assert graph.inputs[0].zero_points == (-128,)
    assert graph.outputs[0].zero_points == (0,)


def test_the_peak_is_what_lives_at_once() -> None:
    def tensor(index: int, channels: int, stored: int = 0) -> Tensor:
        return Tensor(index, f"t{index}", "int8", (1, 4, 4, channels), (), (), (), stored)

    image, wide, narrow, joined = tensor(0, 3), tensor(1, 8), tensor(2, 2), tensor(3, 5)
    weights = tensor(4, 100, stored=1600)  # constants are not computed, and do not count
    layers = (
        Layer(0, "CONV_2D", 1, (image, weights, None), (wide,), {}),
        Layer(1, "MAX_POOL_2D", 1, (wide,), (narrow,), {}),
        Layer(2, "CONCATENATION", 1, (image, narrow), (joined,), {}),  # which still needs the image
    )
    graph = Graph(layers, (image, wide, narrow, joined, weights), (image,), (joined,), 1)
    assert graph.peak == (16 * (3 + 8 + 2), layers[1])
    assert graph.parameter_bytes == 1600


@pytest.mark.parametrize("data", [b"", b"no network\n", b"\x20\x00\x00\x00TFL3" + bytes(12)])
def test_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError, match=r"\.tflite model.*copy the codec folder again"):
        read_graph(data)


def test_a_cut_model_is_refused(shipped: Codec) -> None:
    with pytest.raises(CodecError, match=r"cannot read the \.tflite model"):
        read_graph(shipped.encoder[:3000])
