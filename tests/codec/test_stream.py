"""Whole, cut and holed streams to symbols."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec import container, levels
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.errors import HeliographError, StreamError

Latents = Callable[[int, int, int, float], npt.NDArray[np.int8]]
ROWS, COLUMNS = 14, 22
WIDTH, HEIGHT = 16 * COLUMNS - 5, 16 * ROWS - 9


@pytest.fixture(scope="module")
def picture(latents: Latents) -> npt.NDArray[np.int8]:
    """Latents of a picture that takes some kilobytes."""
    return latents(7, ROWS, COLUMNS, 25.0)


@pytest.fixture(scope="module")
def sliced(random_codec: Codec, picture: npt.NDArray[np.int8]) -> bytes:
    """A stream of 4 x 6 slices of one tile."""
    return Packer(random_codec, picture, WIDTH, HEIGHT, slice_tiles=1).pack(Rate(quality=70)).data


@pytest.fixture(scope="module")
def single(random_codec: Codec, picture: npt.NDArray[np.int8]) -> bytes:
    """A stream of one slice in several segments."""
    return Packer(random_codec, picture, WIDTH, HEIGHT).pack(Rate(quality=90)).data


def reseal(data: bytes, number: int, change: Callable[[bytearray], None]) -> bytes:
    """Return a stream with a segment's payload changed and its CRC made to fit."""
    stream = container.open(data)
    at, length = stream.segments[number]
    payload = bytearray(data[at : at + length])
    change(payload)
    crc = container.segment_crc(stream.crc, number, bytes(payload)).to_bytes(4, "little")
    return data[:at] + bytes(payload) + crc + data[at + length + 4 :]


@pytest.mark.parametrize("slice_tiles", [0, 1, 2])
@pytest.mark.parametrize("quality", [0, 33.5, 100])
def test_a_stream_decodes_to_the_symbols_that_were_coded(
    slice_tiles: int, quality: float, random_codec: Codec, picture: npt.NDArray[np.int8]
) -> None:
    coder, level = random_codec.coder, levels.from_quality(quality)
    packer = Packer(random_codec, picture, WIDTH, HEIGHT, slice_tiles=slice_tiles, strength=0)
    decoded = decode_stream(packer.at(level), random_codec)
    symbols = coder.model.restore_order(coder.quantise(picture, level, 110))
    assert np.array_equal(decoded.symbols[..., coder.model.order[:21]], symbols[..., coder.model.order[:21]])
    assert (decoded.width, decoded.height, decoded.quality) == (WIDTH, HEIGHT, quality)
    assert np.array_equal(decoded.values, decoded.symbols * random_codec.steps(level))
    assert decoded.loss.is_none


def test_a_cut_stream_is_refused_unless_partial_is_asked_for(single: bytes, random_codec: Codec) -> None:
    with pytest.raises(
        StreamError, match=r"stream is cut: got .* decode what is there with --partial, or fetch"
    ):
        decode_stream(single[:-10], random_codec)
    decoded = decode_stream(single[:-10], random_codec, partial=True)
    assert str(decoded.loss) == "of 3 segments 1 cut"


def test_more_bytes_give_a_better_picture(single: bytes, random_codec: Codec) -> None:
    whole = decode_stream(single, random_codec).values
    start = container.open(single).size
    errors = []
    for size in np.linspace(start, len(single), 12).astype(int):
        values = decode_stream(single[:size], random_codec, partial=True).values
        errors.append(float(np.square(values - whole).sum()))
    assert errors[-1] == 0
    assert errors == sorted(errors, reverse=True)


def test_every_cut_decodes_to_the_whole_size(sliced: bytes, random_codec: Codec) -> None:
    start = container.open(sliced).size
    for size in range(start, len(sliced), 97):
        decoded = decode_stream(sliced[:size], random_codec, partial=True)
        assert decoded.symbols.shape == (ROWS, COLUMNS, 24)
        assert not decoded.loss.is_none


def test_a_cut_within_the_header_leaves_nothing(single: bytes, random_codec: Codec) -> None:
    with pytest.raises(StreamError, match="cut in its header"):
        decode_stream(single[:20], random_codec, partial=True)


def test_a_damaged_slice_hurts_no_other_one(sliced: bytes, random_codec: Codec) -> None:
    stream = container.open(sliced)
    damaged = bytearray(sliced)
    damaged[stream.segments[8][0]] ^= 1  # the first layer of the third slice in the second row
    with pytest.raises(StreamError, match="the CRC-32C of segment 8 does not fit"):
        decode_stream(bytes(damaged), random_codec)
    decoded = decode_stream(bytes(damaged), random_codec, partial=True)
    whole = decode_stream(sliced, random_codec)
    same = (decoded.symbols == whole.symbols).all(axis=-1)
    assert not same[4:8, 8:12].all()
    same[4:8, 8:12] = True
    assert same.all()
    assert str(decoded.loss) == "of 72 segments 1 damaged; 1 of 24 slices concealed from their neighbours"


def test_a_concealed_slice_is_nearer_than_none(sliced: bytes, random_codec: Codec) -> None:
    stream = container.open(sliced)
    holed = bytearray(sliced)
    at, length = stream.segments[8]
    holed[at : at + length] = bytes(length)
    whole = decode_stream(sliced, random_codec).values[4:8, 8:12].astype(float)
    concealed = decode_stream(bytes(holed), random_codec, partial=True).values[4:8, 8:12]
    assert np.square(whole - concealed).sum() < 0.7 * np.square(whole).sum()


def test_layers_after_a_damaged_one_are_not_used(single: bytes, random_codec: Codec) -> None:
    stream = container.open(single)
    damaged = bytearray(single)
    damaged[stream.segments[1][0] + 3] ^= 1
    decoded = decode_stream(bytes(damaged), random_codec, partial=True)
    order = random_codec.coder.model.order
    assert decoded.symbols[..., order[:6]].any()
    assert not decoded.symbols[..., order[6:]].any()
    assert str(decoded.loss) == "of 3 segments 1 damaged"


@settings(deadline=None, max_examples=80)
@given(
    number=st.integers(0, 2),
    place=st.floats(0, 0.9999),
    change=st.integers(1, 255),
    partial=st.booleans(),
)
def test_a_changed_payload_with_a_fitting_crc_gives_an_error_or_a_picture_of_the_size(
    number: int, place: float, change: int, partial: bool, single: bytes, random_codec: Codec
) -> None:
    def damage(payload: bytearray) -> None:
        payload[int(place * len(payload))] ^= change

    began = time.perf_counter()
    try:
        decoded = decode_stream(reseal(single, number, damage), random_codec, partial=partial)
    except StreamError:
        assert not partial
    else:
        assert decoded.symbols.shape == (ROWS, COLUMNS, 24)
    assert time.perf_counter() - began < 1


@settings(deadline=None, max_examples=150)
@given(place=st.floats(0, 0.9999), change=st.integers(1, 255), partial=st.booleans())
def test_any_changed_byte_gives_an_error_or_a_reported_loss(
    place: float, change: int, partial: bool, sliced: bytes, random_codec: Codec
) -> None:
    damaged = bytearray(sliced)
    damaged[int(place * len(damaged))] ^= change

    def attempt() -> Decoded | None:
        try:
            return decode_stream(bytes(damaged), random_codec, partial=partial)
        except HeliographError:
            return None

    decoded = attempt()
    assert decoded is None or (partial and not decoded.loss.is_none)


def test_a_wrong_number_of_layers_is_named(random_codec: Codec) -> None:
    data = container.pack(container.Header(random_codec.id, 16, 16, 500, 2), [b"", b""])
    with pytest.raises(StreamError, match="2 segments in a slice, expected 1 or 3"):
        decode_stream(data, random_codec)


def test_small_streams_keep_all_layers_in_one_segment(
    random_codec: Codec, picture: npt.NDArray[np.int8]
) -> None:
    small = Packer(random_codec, picture[:4, :4], 64, 64).at(500)
    assert container.open(small).header.parts == 1
