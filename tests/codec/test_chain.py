"""Chain files: what decodes anywhere, and what is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec import chain, container
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packed, Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import Values
from heliograph.errors import StreamError

Latents = Callable[[int, int, int, float], Values]
SIDE = 64


@pytest.fixture(scope="module")
def pictures(random_codec: Codec, latents: Latents) -> list[Packed]:
    """Pictures of which each refers to the one before it, as deep as the format has it."""
    packed: list[Packed] = []
    for number in range(chain.MAX_STREAMS):
        reference = packed[-1].as_reference() if packed else None
        maps = latents(number, SIDE // 16, SIDE // 16, 9.0)
        packer = Packer(random_codec, maps, SIDE, SIDE, whole=True, reference=reference)
        packed.append(packer.pack(Rate(quality=30)))
    return packed


@pytest.mark.parametrize("count", [1, 2, 3, chain.MAX_STREAMS])
def test_a_chain_file_decodes_without_anything_else(
    count: int, random_codec: Codec, pictures: list[Packed]
) -> None:
    streams = [packed.data for packed in pictures[:count]]
    data = chain.pack(streams)
    # 4 bytes, the number, a length of 2 bytes for each (they have 128 to 16383), 4 bytes of CRC.
    assert all(128 <= len(one) < 16384 for one in streams)
    assert len(data) == 4 + 1 + 2 * count + 4 + sum(map(len, streams))
    assert data.startswith(b"HLC\x02" + bytes([count]))
    opened = chain.open(data)
    assert opened.data == streams[-1]
    assert [one.data for one in opened.before] == streams[:-1]
    for source in (data, opened):
        decoded = decode_stream(source, random_codec)
        assert np.array_equal(decoded.values, pictures[count - 1].values)
        assert decoded.loss.is_none


def test_a_stream_is_opened_as_ever(pictures: list[Packed]) -> None:
    opened = chain.open(pictures[0].data)
    assert opened == container.open(pictures[0].data)
    assert opened.before == ()


def test_of_a_cut_chain_file_what_is_there_of_the_last_stream_is_decoded(
    random_codec: Codec, pictures: list[Packed]
) -> None:
    data = chain.pack([packed.data for packed in pictures[:3]])
    with pytest.raises(StreamError, match="stream is cut: got"):
        decode_stream(data[:-20], random_codec)
    decoded = decode_stream(data[:-20], random_codec, partial=True)
    assert decoded.loss.cut == 1
    with pytest.raises(StreamError, match="stream is cut"):  # the second of three
        decode_stream(data[: -len(pictures[2].data) - 5], random_codec, partial=True)


def test_only_a_chain_can_be_packed(pictures: list[Packed]) -> None:
    one, two, three = (packed.data for packed in pictures[:3])
    for wrong in ([two], [one, one], [two, three], [one, two, one]):
        with pytest.raises(StreamError, match="does not follow from the one before it"):
            chain.pack(wrong)
    with pytest.raises(StreamError, match="stream is cut"):
        chain.pack([one, two[:-1]])


def test_a_chain_of_other_pictures_does_not_decode(random_codec: Codec, pictures: list[Packed]) -> None:
    one, two, three = (packed.data for packed in pictures[:3])
    with pytest.raises(StreamError, match="its stream 1 does not refer to the picture of the one before it"):
        decode_stream(chain.pack([one, three]), random_codec)
    with pytest.raises(StreamError, match="its stream 2 does not refer to the picture of the one before it"):
        decode_stream(chain.pack([one, two, two]), random_codec)


def sealed(head: bytes, *streams: bytes) -> bytes:
    return head + struct.pack("<I", crc32c(head)) + b"".join(streams)


def test_headers_that_lie_are_named(pictures: list[Packed]) -> None:
    one = pictures[0].data
    length = bytes([len(one) & 127 | 128, len(one) >> 7])
    cases = {
        b"HLC\x03": "chain file has format version 3, this program reads 2; update",
        b"HLC": "chain file is cut in its header: got 3 bytes",
        b"HLC\x02\x01" + length: f"chain file is cut in its header: got {5 + len(length)} bytes",
        sealed(b"HLC\x02\x00"): "it has 0 streams, expected 1 to 64",
        sealed(b"HLC\x02\x41"): "it has 65 streams, expected 1 to 64",
        b"HLC\x02\x01" + length + b"abcd" + one: "CRC-32C of its header is",
        sealed(b"HLC\x02\x01\x09", one): f"its last stream has {len(one)} bytes, its header says 9",
        sealed(b"HLC\x02\x02\x05" + length, b"hello", one): "not a .helio stream",
        sealed(b"HLC\x02\x01" + length): "stream is cut in its header|not a .helio stream",
    }
    assert len(one) < 16384
    for data, text in cases.items():
        with pytest.raises(StreamError, match=text):
            chain.open(data)
    with pytest.raises(StreamError, match="has bytes added"):
        chain.open(chain.pack([one]) + b"x").check_whole()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_changed_byte_never_decodes_to_another_picture(
    random_codec: Codec, pictures: list[Packed], data: st.DataObject
) -> None:
    whole = bytearray(chain.pack([packed.data for packed in pictures[:3]]))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode_stream(bytes(whole), random_codec, partial=data.draw(st.booleans()))
    except StreamError:
        return
    assert not decoded.loss.is_none
