"""Thinning gives what partial decoding of the beginning gives, and a whole stream."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.codec.thin import filled_parts, thin
from heliograph.codec.values import Values
from heliograph.errors import StreamError

Latents = Callable[[int, int, int, float], Values]
ID = bytes(range(8))


def cut_after(data: bytes, parts: int) -> bytes:
    """Return the beginning of a stream up to the end of its first parts."""
    stream = container.open(data)
    kept = stream.segments[: parts * stream.header.slice_count]
    return data[: max(at + (length + 4 if length else 0) for at, length in kept)]


def make_stream(codec: Codec, maps: Values, level: int, slice_tiles: int) -> bytes:
    rows, columns = maps.shape[:2]
    size = 16 * columns, 16 * rows
    return Packer(codec, maps, *size, slice_tiles=slice_tiles, layered=True, base=True, whole=True).at(level)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    level=st.integers(0, 900),
    slice_tiles=st.sampled_from([0, 1, 2]),
    parts=st.integers(1, 4),
)
def test_thinned_is_the_same_as_the_beginning_decoded_partially(
    seed: int,
    rows: int,
    columns: int,
    level: int,
    slice_tiles: int,
    parts: int,
    random_codec: Codec,
    latents: Latents,
) -> None:
    whole = make_stream(random_codec, latents(seed, rows, columns, 8.0), level, slice_tiles)
    thinned = thin(whole, parts)
    # Without `partial` decoding refuses any stream that is not whole and sound.
    expected = decode_stream(cut_after(whole, parts), random_codec, partial=True)
    found = decode_stream(thinned, random_codec)
    opened, known = container.open(whole), random_codec.coder.model.order
    header, count = opened.header, opened.header.slice_count
    # A base after which a slice has nothing to add is whole where it ends.
    if parts > 1 or all(length for _, length in opened.segments[count : 2 * count]):
        assert found.level == expected.level
    if header.is_refined and 1 < parts < 4:  # the others are what is expected from the base, not the base
        known = known[: random_codec.coder.model.layers[parts - 2]]
    assert np.array_equal(found.values[..., known], expected.values[..., known])
    assert filled_parts(container.open(thinned)) <= parts
    assert len(thinned) <= len(whole)
    assert thin(thinned, parts) == thinned
    if parts >= header.parts:
        assert thinned == whole


def test_one_layer_less_is_a_smaller_stream_with_less_in_it(random_codec: Codec, latents: Latents) -> None:
    whole = make_stream(random_codec, latents(3, 12, 12, 20.0), 700, 0)
    full = decode_stream(whole, random_codec).values
    order = random_codec.coder.model.order
    sizes = [len(whole)]
    for parts, end in ((3, 12), (2, 6)):
        thinned = thin(whole, parts)
        values = decode_stream(thinned, random_codec).values
        sizes.append(len(thinned))
        assert np.array_equal(values[..., order[:end]], full[..., order[:end]])
        assert not np.array_equal(values[..., order[end:]], full[..., order[end:]])
    assert sizes == sorted(sizes, reverse=True)


def test_the_base_of_a_refined_stream_is_a_stream_of_its_own(random_codec: Codec, latents: Latents) -> None:
    maps = latents(3, 12, 12, 20.0)
    whole = make_stream(random_codec, maps, 700, 0)
    assert container.open(whole).header.base_level == 280  # two fifths of 700
    base = thin(whole, 1)
    # What a picture of that level is: RDOQ, all layers in one segment.
    assert base == Packer(random_codec, maps, 192, 192, whole=True).at(280)
    assert filled_parts(container.open(base)) == 1


def test_a_thinned_stream_still_refers_and_is_another_picture(random_codec: Codec, latents: Latents) -> None:
    maps = latents(3, 12, 12, 20.0)
    there = Packer(random_codec, maps, 192, 192).pack(Rate(quality=20)).as_reference()
    packer = Packer(random_codec, maps, 192, 192, layered=True, base=True, reference=there)
    whole = packer.at(700)
    references = {there.picture_id: there.values}
    full, thinned = (decode_stream(x, random_codec, references=references) for x in (whole, thin(whole, 1)))
    base = random_codec.coder.model.order[:6]
    assert thinned.reference == full.reference
    assert np.array_equal(thinned.values[..., base], full.values[..., base])
    assert thinned.picture_id != full.picture_id


def test_the_header_is_written_anew_by_hand() -> None:
    header = container.Header(ID, 20, 10, 300, 3)
    whole = container.pack(header, [b"base", b"", b"fine"])
    assert filled_parts(container.open(whole)) == 3
    assert filled_parts(container.open(thin(whole, 2))) == 1
    assert thin(whole, 1) == container.pack(header, [b"base", b"", b""])
    assert len(thin(whole, 1)) == len(whole) - len(b"fine") - 4


def test_a_stream_of_one_segment_stays_as_it_is() -> None:
    whole = container.pack(container.Header(ID, 20, 10, 300, 1), [b"all of it"])
    assert thin(whole, 1) == whole
    assert filled_parts(container.open(whole)) == 1
    assert filled_parts(container.open(container.pack(container.Header(ID, 20, 10, 300, 1), [b""]))) == 0


def test_damage_is_not_given_a_good_checksum() -> None:
    header = container.Header(ID, 20, 10, 300, 3)
    whole = bytearray(container.pack(header, [b"base", b"more", b"fine"]))
    at, _ = container.open(bytes(whole)).segments[1]
    whole[at] ^= 1
    with pytest.raises(StreamError, match="CRC-32C of segment 1 does not fit, so it cannot be thinned"):
        thin(bytes(whole), 2)
    # The damaged part may go.
    assert thin(bytes(whole), 1) == container.pack(header, [b"base", b"", b""])


def test_a_cut_stream_and_no_parts_are_refused() -> None:
    whole = container.pack(container.Header(ID, 20, 10, 300, 3), [b"base", b"more", b"fine"])
    with pytest.raises(StreamError, match="stream is cut"):
        thin(whole[:-1], 1)
    with pytest.raises(ValueError, match="parts is 0, expected at least 1"):
        thin(whole, 0)
