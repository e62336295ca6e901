"""A base first, which the rest refines: what a prefix decodes to, and when there is a base."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.numpy_coder import NumpyCoder
from heliograph.codec.pack import Packer
from heliograph.codec.slices import base_level
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import Values
from heliograph.errors import StreamError

Latents = Callable[[int, int, int, float], Values]


def refined(codec: Codec, maps: Values, level: int, slice_tiles: int = 0) -> bytes:
    """Return a stream that begins with a base."""
    rows, columns = maps.shape[:2]
    packer = Packer(codec, maps, 16 * columns, 16 * rows, slice_tiles=slice_tiles, layered=True, base=True)
    data = packer.at(level)
    assert container.open(data).header.is_refined
    return data


def ends(data: bytes) -> list[int]:
    """Return where each segment ends, its CRC included."""
    return [at + (length + 4 if length else 0) for at, length in container.open(data).segments]


def test_the_level_of_a_base() -> None:
    # At quality 50, 623, it is 249: quality 3.25. Below 167 it is 100 levels down, and below 100 there is none.
    assert [base_level(level) for level in (1023, 623, 223, 166, 99)] == [409, 249, 89, 66, -1]


def test_a_prefix_has_finer_values_where_they_are_there(random_codec: Codec, latents: Latents) -> None:
    maps = latents(3, 12, 12, 20.0)
    data = refined(random_codec, maps, 700)
    whole = decode_stream(data, random_codec)
    alone = Packer(random_codec, maps, 192, 192).at(280)
    base = decode_stream(alone, random_codec)
    order, stops = random_codec.coder.model.order, random_codec.coder.model.layers
    first, *others = ends(data)
    seen = decode_stream(data[:first], random_codec, partial=True)
    assert (seen.level, whole.level) == (280, 700)
    assert np.array_equal(seen.values, base.values)
    for end, stop in zip(others, stops, strict=True):
        seen = decode_stream(data[:end], random_codec, partial=True)
        assert seen.level == 700
        assert np.array_equal(seen.values[..., order[:stop]], whole.values[..., order[:stop]])
        assert np.array_equal(seen.values[..., order[stop:]], base.values[..., order[stop:]])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(4, 12),
    columns=st.integers(8, 12),
    level=st.integers(400, 1000),
    slice_tiles=st.sampled_from([0, 1]),
    share=st.floats(0.02, 1),
)
def test_numpy_makes_and_reads_what_c_does(
    seed: int,
    rows: int,
    columns: int,
    level: int,
    slice_tiles: int,
    share: float,
    random_codec: Codec,
    latents: Latents,
) -> None:
    maps = latents(seed, rows, columns, 30.0)
    data = refined(random_codec, maps, level, slice_tiles)
    other = Codec(random_codec.folder)
    other.coder = NumpyCoder(random_codec.coder.model.to_bytes())
    assert refined(other, maps, level, slice_tiles) == data
    cut = max(int(share * len(data)), container.open(data).size)
    one, two = (decode_stream(data[:cut], codec, partial=True) for codec in (random_codec, other))
    assert (one.level, one.loss) == (two.level, two.loss)
    assert np.array_equal(one.values, two.values)


def test_the_packed_values_are_what_is_decoded(random_codec: Codec, latents: Latents) -> None:
    packer = Packer(random_codec, latents(4, 9, 11, 20.0), 170, 140, slice_tiles=1, layered=True, base=True)
    estimate = packer.estimate(650)
    packed = packer._pack_at(650)
    assert np.array_equal(decode_stream(packed.data, random_codec).values, packed.values)
    assert len(packed.data) == pytest.approx(estimate, rel=0.02)


def test_no_base_where_it_is_worth_too_little(random_codec: Codec, latents: Latents) -> None:
    small = Packer(random_codec, latents(3, 2, 2, 5.0), 32, 32, layered=True, base=True, whole=True).at(500)
    assert container.open(small).header.base_level is None
    assert container.open(small).header.parts == len(random_codec.coder.model.layers)


def test_a_damaged_base_costs_its_slice(random_codec: Codec, latents: Latents) -> None:
    data = bytearray(refined(random_codec, latents(3, 12, 12, 20.0), 700, 1))
    (at, _), *_ = container.open(bytes(data)).segments
    data[at + 5] ^= 1
    decoded = decode_stream(bytes(data), random_codec, partial=True)
    assert (decoded.loss.damaged, decoded.loss.concealed, decoded.loss.slices) == (1, 1, 9)
    with pytest.raises(StreamError, match="the CRC-32C of segment 0 does not fit"):
        decode_stream(bytes(data), random_codec)


def test_a_codec_without_contexts_for_it_refuses(random_codec: Codec, latents: Latents) -> None:
    data = refined(random_codec, latents(3, 12, 12, 20.0), 700)
    other = Codec(random_codec.folder)
    model = random_codec.coder.model
    other.coder = NumpyCoder(replace(model, sets=model.sets[:1]).to_bytes())
    with pytest.raises(StreamError, match=r"it is refined, which codec .* cannot"):
        decode_stream(data, other)
    maps = latents(3, 12, 12, 20.0)
    assert not container.open(
        Packer(other, maps, 192, 192, layered=True, base=True).at(700)
    ).header.is_refined
