"""The short form: the fewest bytes, the same in C and numpy, all or nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.coder import Reference
from heliograph.codec.numpy_coder import NumpyCoder
from heliograph.codec.pack import SHORT_BELOW, Packer
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import Values
from heliograph.errors import StreamError

Latents = Callable[[int, int, int, float], Values]
MOST = container.MAX_SHORT // 2


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    level=st.integers(0, 1023),
    spread=st.floats(0, 40),
    refers=st.booleans(),
)
def test_c_and_numpy_write_and_read_the_same(
    seed: int,
    rows: int,
    columns: int,
    level: int,
    spread: float,
    refers: bool,
    random_codec: Codec,
    latents: Latents,
) -> None:
    maps, coder = latents(seed, rows, columns, spread), random_codec.coder
    there = coder.encode(latents(seed + 1, rows, columns, 9.0), 400, rounding=128, strength=0).values
    reference = Reference(there, 400) if refers else None
    in_numpy = NumpyCoder(coder.model.to_bytes())
    one, other = (
        each.encode(maps, level, rounding=128, strength=5, short_below=MOST, reference=reference)
        for each in (coder, in_numpy)
    )
    assert one.segments == other.segments
    assert one.is_short == other.is_short
    if not one.is_short:
        return
    for each in (coder, in_numpy):
        found = each.decode(one.segments, rows, columns, level, merged=True, short=True, reference=reference)
        assert np.array_equal(found.values, one.values)
    # The first symbol that is written takes 14 bits whatever its table says, the last state wastes less than 8.
    assert len(one.segments[0]) <= 1.005 * sum(one.bits) / 8192 + 3


def test_a_payload_has_no_byte_of_lanes_and_a_shorter_state(random_codec: Codec, latents: Latents) -> None:
    coder = random_codec.coder
    for seed in range(20):
        maps = latents(seed, 3, 3, 10.0)
        short = coder.encode(maps, 300, rounding=128, strength=20, short_below=MOST)
        long = coder.encode(maps, 300, rounding=128, strength=20, merge_below=MOST)
        assert short.is_short
        assert not long.is_short
        # A byte of lanes, three of the state, a word at its start; a small state can take less than a symbol's bits.
        assert len(long.segments[0]) - 6 <= len(short.segments[0]) <= len(long.segments[0]) - 1


def test_many_positions_or_bytes_are_not_short(random_codec: Codec, latents: Latents) -> None:
    coder = random_codec.coder
    zeros = np.zeros((64, 65, coder.model.channels), np.int16)
    assert not coder.encode(zeros, 500, rounding=128, strength=20, short_below=MOST).is_short
    assert coder.encode(zeros[:, :64], 500, rounding=128, strength=20, short_below=MOST).is_short
    maps = latents(1, 8, 8, 20.0)
    size = sum(coder.encode(maps, 500, rounding=128, strength=20).bits) >> 13
    for below, expected in ((size, False), (size + 1, True)):
        assert coder.encode(maps, 500, rounding=128, strength=20, short_below=below).is_short == expected


def test_arguments_out_of_range_are_refused(random_codec: Codec, latents: Latents) -> None:
    maps = latents(1, 2, 2, 5.0)
    for coder in (random_codec.coder, NumpyCoder(random_codec.coder.model.to_bytes())):
        with pytest.raises(ValueError, match="out of range"):
            coder.encode(maps, 500, rounding=128, strength=0, short_below=MOST + 1)
        data = coder.encode(maps, 500, rounding=128, strength=0, short_below=MOST).segments
        with pytest.raises(ValueError, match="out of range"):
            coder.decode(data, 2, 2, 500, merged=True, short=True, cut=True)
        with pytest.raises(ValueError, match="out of range"):
            coder.decode([], 2, 2, 500, merged=True, short=True)
        with pytest.raises(ValueError, match="out of range"):
            coder.decode(data, 65, 64, 500, merged=True, short=True)


@settings(max_examples=60, deadline=None)
@given(payload=st.binary(min_size=1, max_size=40), rows=st.integers(1, 4), columns=st.integers(1, 4))
def test_any_bytes_are_read_alike_or_refused(
    payload: bytes, rows: int, columns: int, random_codec: Codec
) -> None:
    results: list[tuple[bytes, tuple[int, ...]] | None] = []
    for coder in (random_codec.coder, NumpyCoder(random_codec.coder.model.to_bytes())):
        try:
            found = coder.decode([payload], rows, columns, 600, merged=True, short=True)
        except StreamError:
            results.append(None)
        else:
            results.append((found.values.tobytes(), found.read))
    assert results[0] == results[1]


def test_every_cut_and_every_flipped_bit_is_noticed(random_codec: Codec, latents: Latents) -> None:
    data = Packer(random_codec, latents(4, 3, 2, 8.0), 60, 90, scale=2).at(350)
    assert container.open(data).header.is_short
    assert decode_stream(data, random_codec).values.shape == (3, 2, 24)
    for size in range(len(data)):
        with pytest.raises(StreamError):
            decode_stream(data[:size], random_codec, partial=True)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            decode_stream(bytes(flipped), random_codec, partial=True)


def test_small_streams_are_short_and_smaller_and_large_ones_as_ever(
    random_codec: Codec, latents: Latents
) -> None:
    maps = latents(2, 4, 4, 8.0)
    for level in range(0, 1023, 60):
        data = Packer(random_codec, maps, 64, 64).at(level)
        whole = Packer(random_codec, maps, 64, 64, whole=True).at(level)
        if container.open(data).header.is_short:
            # One CRC less where there is a segment; where all is zero there was none.
            assert len(data) <= len(whole) - (5 if container.open(whole).segments[0][1] else 0)
            assert len(data) < SHORT_BELOW + 40
        else:
            assert data == whole
        expected = decode_stream(whole, random_codec).values
        assert np.array_equal(decode_stream(data, random_codec).values, expected)
