"""Maps of a stream add up to the stream."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.validate import maps

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


@pytest.mark.parametrize("slice_tiles", [0, 1])
def test_bits_of_positions_add_up_to_the_stream(
    slice_tiles: int, encoder: Encoder, codec: Codec, paint: Paint
) -> None:
    data = Encoder(encoder.codec, slice_tiles=slice_tiles).encode(paint(300, 200), Rate(quality=70))
    decoded = decode_stream(data, codec)
    found = maps.bits(data, decoded)
    assert found.symbols.shape == (len(codec.coder.model.layers), 13, 19)
    assert found.symbols.min() >= 0
    assert sum(found.by_layer) + found.overhead == pytest.approx(8 * len(data))
    if not slice_tiles:  # of one slice the coder itself estimates the layers
        ordered = np.ascontiguousarray(decoded.symbols[..., codec.coder.model.order])
        expected = [b / 1024 for b in codec.coder.estimate(ordered, decoded.level)]
        assert found.by_layer == pytest.approx(expected)
    assert 0 < found.overhead < 8 * 400


def test_layers_come_in_coding_order_and_the_last_is_all(
    encoder: Encoder, codec: Codec, paint: Paint
) -> None:
    decoded = decode_stream(encoder.encode(paint(96, 64), Rate(quality=80)), codec)
    steps = maps.after_layers(decoded)
    model = codec.coder.model
    assert len(steps) == len(model.layers)
    assert np.array_equal(steps[-1].symbols, decoded.symbols)
    for step, stop in zip(steps, model.layers, strict=True):
        ordered = step.symbols[..., model.order]
        assert not ordered[..., stop:].any()
        assert np.array_equal(ordered[..., :stop], decoded.symbols[..., model.order[:stop]])


def test_the_montage_has_every_channel(encoder: Encoder, codec: Codec, paint: Paint) -> None:
    decoded = decode_stream(encoder.encode(paint(96, 64), Rate(quality=80)), codec)
    sheet = maps.montage(decoded)
    assert sheet.shape == (codec.channels // 16 * 5, 16 * 7, 3)
    assert maps.activity(decoded).shape == (codec.channels,)


def test_heat_runs_from_black_to_yellow() -> None:
    colours = maps.heat(np.array([[0.0, 1.0], [2.0, 4.0]]), top=2.0)
    assert colours[0, 0].tolist() == [0, 0, 4]
    assert colours[1, 0].tolist() == colours[1, 1].tolist() == [252, 255, 164]
    assert colours[0, 1].tolist() == [188, 55, 84]
    assert maps.heat(np.zeros((2, 3)), scale=16).shape == (32, 48, 3)


def test_error_is_yellow_where_it_is_large() -> None:
    a = np.zeros((2, 2, 3), np.uint8)
    b = a.copy()
    b[0, 0] = 32
    found = maps.error_map(a, b)
    assert found[0, 0].tolist() == [252, 255, 164]
    assert found[1, 1].tolist() == [0, 0, 4]
