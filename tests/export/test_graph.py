"""The reader of .tflite files."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.codec.manifest import Codec
from heliograph.errors import CodecError
from heliograph.export.graph import read_graph


def test_the_shipped_encoder_is_read(shipped: Codec) -> None:
    graph = read_graph(shipped.encoder)
    assert graph.kinds == ["ADD", "CONV_2D", "MAX_POOL_2D"]
    assert round(graph.macs / shipped.tile**2 / 1000, 2) == shipped.manifest["encoder"]["kmac_per_pixel"]
    first = graph.layers[0]
    assert first.label.startswith("layer 0 CONV_2D (encoder")
    assert (first.options["stride_h"], first.options["dilation_wfactor"]) == (2, 1)
    weights = first.inputs[1]
    assert weights is not None
    assert weights.shape == (12, 2, 2, 3)
    assert weights.values.dtype == np.int8
    assert weights.size == weights.stored == 144
    assert graph.inputs[0].scales == pytest.approx((1 / 255,))
    assert graph.inputs[0].zero_points == (-128,)
    assert graph.outputs[0].zero_points == (0,)


def test_the_peak_is_what_lives_at_once(shipped: Codec) -> None:
    graph = read_graph(shipped.encoder)
    most, layer = graph.peak
    # the branch's 64x64x64, its pooled 32x32x64 and u, 64x64x48, which the linear path still needs
    assert layer is not None
    assert layer.kind == "MAX_POOL_2D"
    assert most == 64 * 64 * 64 + 32 * 32 * 64 + 64 * 64 * 48


@pytest.mark.parametrize("data", [b"", b"no network\n", b"\x20\x00\x00\x00TFL3" + bytes(12)])
def test_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError, match=r"\.tflite model.*copy the codec folder again"):
        read_graph(data)


def test_a_cut_model_is_refused(shipped: Codec) -> None:
    with pytest.raises(CodecError, match=r"cannot read the \.tflite model"):
        read_graph(shipped.encoder[:3000])
