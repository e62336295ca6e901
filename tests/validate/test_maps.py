"""Maps of a stream add up to the stream."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.coder import Reference
from heliograph.codec.distortion import STRENGTH
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.validate import maps

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


@pytest.mark.parametrize("slice_tiles", [0, 1])
def test_bits_of_positions_add_up_to_the_stream(
    slice_tiles: int, encoder: Encoder, codec: Codec, paint: Paint
) -> None:
    picture = paint(300, 200)
    data = Encoder(encoder.codec, slice_tiles=slice_tiles).encode(picture, Rate(quality=70))
    decoded = decode_stream(data, codec)
    found = maps.bits(data, decoded)
    assert found.symbols.shape == (len(codec.coder.model.layers), 13, 19)
    assert found.symbols.min() >= 0
    assert sum(found.by_layer) + found.overhead == pytest.approx(8 * len(data))
    if not slice_tiles:  # of one slice the coder itself estimates the layers
        latents = encoder.latents(picture)
        coded = codec.coder.encode(latents, decoded.level, rounding=128, strength=STRENGTH)
        assert found.by_layer == pytest.approx([b / 1024 for b in coded.bits])
    assert 0 < found.overhead < 8 * 400


def test_layers_come_in_coding_order_and_the_last_is_all(
    encoder: Encoder, codec: Codec, paint: Paint
) -> None:
    decoded = decode_stream(encoder.encode(paint(96, 64), Rate(quality=80)), codec)
    steps = maps.after_layers(decoded)
    model = codec.coder.model
    assert len(steps) == len(model.layers)
    assert np.array_equal(steps[-1].values, decoded.values)
    for step, stop in zip(steps, model.layers, strict=True):
        ordered = step.values[..., model.order]
        assert not ordered[..., stop:].any()
        assert np.array_equal(ordered[..., :stop], decoded.values[..., model.order[:stop]])


def test_a_referring_stream_adds_up_with_what_it_refers_to(
    encoder: Encoder, codec: Codec, paint: Paint
) -> None:
    latents = encoder.latents(paint(96, 64))
    there = Packer(codec, latents, 96, 64).pack(Rate(quality=30))
    reference = there.as_reference()
    packed = Packer(codec, latents, 96, 64, layered=True, base=True, reference=reference).pack(
        Rate(quality=70)
    )
    decoded = decode_stream(packed.data, codec, references={reference.picture_id: there.values})
    found = maps.bits(packed.data, decoded, there.values)
    order = codec.coder.model.order
    coded = codec.coder.encode(
        latents,
        packed.level,
        rounding=128,
        strength=STRENGTH,
        reference=Reference(there.values[..., order], there.level),
    )
    spent = [b if s else 0 for b, s in zip(coded.bits, coded.segments, strict=True)]
    assert found.by_layer == pytest.approx([b / 1024 for b in spent])
    first = maps.after_layers(decoded, there.values)[0].values
    stop = codec.coder.model.layers[0]
    assert np.array_equal(first[..., order[:stop]], decoded.values[..., order[:stop]])
    assert np.array_equal(first[..., order[stop:]], there.values[..., order[stop:]])


def test_a_base_comes_before_the_layers(encoder: Encoder, codec: Codec, paint: Paint) -> None:
    latents = encoder.latents(paint(192, 128))
    packed = Packer(codec, latents, 192, 128, layered=True, base=True).pack(Rate(quality=90))
    header = container.open(packed.data).header
    assert header.base_level is not None
    found = maps.bits(packed.data, decode_stream(packed.data, codec))
    base = codec.coder.encode(latents, header.base_level, rounding=128, strength=STRENGTH)
    fine = codec.coder.encode(
        latents,
        packed.level,
        rounding=128,
        strength=STRENGTH,
        reference=Reference(base.values, header.base_level),
    )
    spent = [b if s else 0 for b, s in zip(fine.bits, fine.segments, strict=True)]
    assert found.by_layer == pytest.approx([sum(base.bits) / 1024, *(b / 1024 for b in spent)])


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
