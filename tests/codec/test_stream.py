"""Whole, cut and holed streams to values, alone and with references."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec import container, levels
from heliograph.codec.codec import ENTROPY, MANIFEST, Codec, codec_id, sha256
from heliograph.codec.coder import Reference
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.codec.values import ReferencePicture, Values, picture_id
from heliograph.errors import HeliographError, ReferenceMissing, StreamError

Latents = Callable[[int, int, int, float], Values]
ROWS, COLUMNS = 14, 22
WIDTH, HEIGHT = 16 * COLUMNS - 5, 16 * ROWS - 9


@pytest.fixture(scope="module")
def picture(latents: Latents) -> Values:
    """Latents of a picture that takes some kilobytes."""
    return latents(7, ROWS, COLUMNS, 25.0)


@pytest.fixture(scope="module")
def sliced(random_codec: Codec, picture: Values) -> bytes:
    """A stream of 4 x 6 slices of one tile."""
    return Packer(random_codec, picture, WIDTH, HEIGHT, slice_tiles=1).pack(Rate(quality=70)).data


@pytest.fixture(scope="module")
def single(random_codec: Codec, picture: Values) -> bytes:
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
def test_a_stream_decodes_to_the_values_that_were_coded(
    slice_tiles: int, quality: float, random_codec: Codec, picture: Values
) -> None:
    coder, level = random_codec.coder, levels.from_quality(quality)
    packed = Packer(random_codec, picture, WIDTH, HEIGHT, slice_tiles=slice_tiles, strength=0).pack(
        Rate(quality=quality)
    )
    decoded = decode_stream(packed.data, random_codec)
    assert np.array_equal(decoded.values, packed.values)
    error = np.abs(picture.astype(int) - decoded.values)
    assert np.all(error <= random_codec.steps(decoded.values, level))
    assert (decoded.width, decoded.height, decoded.quality) == (WIDTH, HEIGHT, quality)
    if not slice_tiles:
        coded = coder.encode(picture, level, rounding=110, strength=0)
        assert np.array_equal(decoded.values, coder.model.restore_order(coded.values))
    assert decoded.loss.is_none
    assert decoded.reference is None


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
        errors.append(float(np.square(values.astype(float) - whole).sum()))
    assert errors[-1] == 0
    assert errors == sorted(errors, reverse=True)


def test_every_cut_decodes_to_the_whole_size(sliced: bytes, random_codec: Codec) -> None:
    start = container.open(sliced).size
    for size in range(start, len(sliced), 97):
        decoded = decode_stream(sliced[:size], random_codec, partial=True)
        assert decoded.values.shape == (ROWS, COLUMNS, 24)
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
    same = (decoded.values == whole.values).all(axis=-1)
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
    assert decoded.values[..., order[:6]].any()
    assert not decoded.values[..., order[6:]].any()
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
        assert decoded.values.shape == (ROWS, COLUMNS, 24)
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


def test_small_streams_keep_all_layers_in_one_segment(random_codec: Codec, picture: Values) -> None:
    small = Packer(random_codec, picture[:4, :4], 64, 64).at(500)
    assert container.open(small).header.parts == 1


@pytest.fixture(scope="module")
def there(random_codec: Codec, picture: Values) -> ReferencePicture:
    """A picture to refer to: the same latents, coarser."""
    return Packer(random_codec, picture, WIDTH, HEIGHT).pack(Rate(quality=30)).as_reference()


@pytest.fixture(scope="module")
def referring(random_codec: Codec, picture: Values, there: ReferencePicture) -> bytes:
    """A stream of 4 x 6 slices that refers to another picture."""
    packer = Packer(random_codec, picture, WIDTH, HEIGHT, slice_tiles=1, reference=there)
    return packer.pack(Rate(quality=70)).data


def test_a_picture_id_is_taken_over_codec_size_and_values() -> None:
    values = np.array([[[1, -2], [3, 256]]], np.int16)
    codec, head = bytes(range(8)), bytes((17, 0, 0, 0, 9, 0, 0, 0))
    body = bytes((1, 0, 0xFE, 0xFF, 3, 0, 0, 1))
    assert picture_id(codec, 17, 9, values) == hashlib.sha256(codec + head + body).digest()[:8]
    assert picture_id(codec, 17, 9, np.asfortranarray(values)) == picture_id(codec, 17, 9, values)


@pytest.mark.parametrize("slice_tiles", [0, 1])
@pytest.mark.parametrize("strength", [0, 20])
@pytest.mark.parametrize("quality", [0, 33.5, 100])
def test_a_stream_that_refers_decodes_to_the_values_that_were_coded(
    slice_tiles: int,
    strength: int,
    quality: float,
    random_codec: Codec,
    picture: Values,
    there: ReferencePicture,
) -> None:
    packer = Packer(
        random_codec, picture, WIDTH, HEIGHT, slice_tiles=slice_tiles, strength=strength, reference=there
    )
    packed = packer.pack(Rate(quality=quality))
    decoded = decode_stream(packed.data, random_codec, references={there.picture_id: there.values})
    assert np.array_equal(decoded.values, packed.values)
    assert decoded.reference == container.Referred(there.picture_id, there.level, 1)
    assert decoded.picture_id == packed.as_reference().picture_id
    assert packed.as_reference().depth == decoded.as_reference().depth == 1


def test_a_chain_says_how_deep_it_is(random_codec: Codec, picture: Values) -> None:
    known: dict[bytes, Values] = {}
    reference = None
    for depth in range(4):
        packed = Packer(random_codec, picture, WIDTH, HEIGHT, reference=reference).pack(
            Rate(quality=20 * depth)
        )
        decoded = decode_stream(packed.data, random_codec, references=known.get)
        reference = decoded.as_reference()
        assert reference.depth == depth
        assert np.array_equal(decoded.values, packed.values)
        known[reference.picture_id] = reference.values
    assert reference is not None
    deep = replace(reference, depth=63)
    with pytest.raises(ValueError, match="depth=64"):
        Packer(random_codec, picture, WIDTH, HEIGHT, reference=deep).pack(Rate(quality=20))


def test_a_missing_reference_is_named(referring: bytes, there: ReferencePicture, random_codec: Codec) -> None:
    name = there.picture_id.hex()
    for references in (None, {}, {bytes(8): there.values}, lambda name: None):
        with pytest.raises(ReferenceMissing, match=f"refers to picture {name}, which is not here") as found:
            decode_stream(referring, random_codec, references=references)
        assert (found.value.picture_id, found.value.depth) == (there.picture_id, 1)
    deep = container.open(referring)
    assert deep.header.reference is not None
    header = replace(deep.header, reference=replace(deep.header.reference, depth=5))
    data = container.pack(header, [deep.segment(n) or b"" for n in range(len(deep.segments))])
    with pytest.raises(ReferenceMissing, match=f"{name}, the last of a chain of 5, which"):
        decode_stream(data, random_codec, partial=True)


def test_a_wrong_reference_never_decodes(
    referring: bytes, there: ReferencePicture, random_codec: Codec
) -> None:
    other = there.values.copy()
    other[-1, -1, -1] += 1
    for wrong in (other, there.values[:-1], there.values + 1):
        with pytest.raises(ReferenceMissing, match="which is not here"):
            decode_stream(referring, random_codec, references={there.picture_id: wrong})


def test_a_codec_of_one_set_refers_to_nothing(
    models: Callable[..., EntropyModel], random_codec: Codec, tmp_path: Path
) -> None:
    folder = shutil.copytree(random_codec.folder, tmp_path / "one")
    entropy = models(1, 1).to_bytes()
    (folder / ENTROPY).write_bytes(entropy)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["id"] = codec_id(b"no network", entropy).hex()
    manifest["files"][ENTROPY] = sha256(entropy)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    codec = Codec(folder)
    header = container.Header(codec.id, 16, 16, 500, 1, 0, container.Referred(bytes(8), 500, 1))
    with pytest.raises(StreamError, match="it refers to a picture, which codec random cannot"):
        decode_stream(container.pack(header, [b""]), codec)


def test_a_lost_slice_is_concealed_from_the_reference_and_nearer(
    referring: bytes, sliced: bytes, there: ReferencePicture, random_codec: Codec
) -> None:
    references = {there.picture_id: there.values}
    stream = container.open(referring)
    holed = bytearray(referring)
    at, length = stream.segments[8]
    holed[at : at + length] = bytes(length)
    with pytest.raises(StreamError, match="the CRC-32C of segment 8"):
        decode_stream(bytes(holed), random_codec, references=references)
    decoded = decode_stream(bytes(holed), random_codec, partial=True, references=references)
    whole = decode_stream(referring, random_codec, references=references)
    place = slice(4, 8), slice(8, 12)
    assert np.array_equal(decoded.values[place], there.values[place])
    same = (decoded.values == whole.values).all(axis=-1)
    same[place] = True
    assert same.all()
    assert str(decoded.loss) == "of 72 segments 1 damaged; 1 of 24 slices concealed from the reference"
    # Without a reference, at the same quality:
    alone = bytearray(sliced)
    at, length = container.open(sliced).segments[8]
    alone[at : at + length] = bytes(length)
    filled = decode_stream(bytes(alone), random_codec, partial=True).values[place].astype(float)
    lost, kept = (
        np.square(whole.values[place] - x).sum() for x in (filled, there.values[place].astype(float))
    )
    assert kept < 0.1 * lost


def test_every_cut_of_a_referring_stream_is_the_reference_from_there_on(
    referring: bytes, there: ReferencePicture, random_codec: Codec
) -> None:
    references = {there.picture_id: there.values}
    whole = decode_stream(referring, random_codec, references=references).values
    start = container.open(referring).size
    errors = []
    for size in range(start, len(referring), 97):
        decoded = decode_stream(referring[:size], random_codec, partial=True, references=references)
        assert not decoded.loss.is_none
        assert ((decoded.values == whole) | (decoded.values == there.values)).all()
        errors.append(float(np.square(decoded.values.astype(float) - whole).sum()))
    assert np.array_equal(
        decode_stream(referring[:start], random_codec, partial=True, references=references).values,
        there.values,
    )
    assert errors == sorted(errors, reverse=True)


@settings(deadline=None, max_examples=60)
@given(place=st.floats(0, 0.9999), change=st.integers(1, 255), partial=st.booleans())
def test_any_changed_byte_of_a_referring_stream_gives_an_error_or_a_reported_loss(
    place: float,
    change: int,
    partial: bool,
    referring: bytes,
    there: ReferencePicture,
    random_codec: Codec,
) -> None:
    damaged = bytearray(referring)
    damaged[int(place * len(damaged))] ^= change
    try:
        decoded = decode_stream(
            bytes(damaged), random_codec, partial=partial, references={there.picture_id: there.values}
        )
    except HeliographError:
        return
    assert partial
    assert not decoded.loss.is_none


def test_a_slice_with_empty_segments_is_what_its_reference_lets_expect(
    there: ReferencePicture, random_codec: Codec
) -> None:
    header = container.Header(
        random_codec.id, WIDTH, HEIGHT, 500, 1, 0, container.Referred(there.picture_id, there.level, 1)
    )
    data = container.pack(header, [b""])
    decoded = decode_stream(data, random_codec, references={there.picture_id: there.values})
    model = random_codec.coder.model
    reference = Reference(there.values[..., model.order], there.level)
    expected = random_codec.coder.decode([b""], ROWS, COLUMNS, 500, merged=True, reference=reference)
    assert np.array_equal(decoded.values, model.restore_order(expected.values))
    assert decoded.values.any()
    assert decoded.loss.is_none
