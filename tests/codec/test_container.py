"""The container: its bytes, its size, and what it says about bytes that are none."""

from __future__ import annotations

import struct

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from heliograph.codec import container
from heliograph.codec.container import Header, Referred
from heliograph.codec.native_coder import load_core
from heliograph.errors import StreamError

ID = bytes(range(8))
PICTURE = bytes(range(100, 108))
LEVEL = st.integers(0, 1023)


def seal(head: bytes) -> bytes:
    """Return a header with its CRC."""
    return head + struct.pack("<I", crc32c(head))


def test_the_crc_is_castagnoli() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_a_stream_to_the_byte() -> None:
    data = container.pack(Header(ID, 300, 17, 623, 1), [b"\xaa"])
    head = b"HLO\x02" + ID + b"\x6f\x02" + b"\xac\x02" + b"\x11" + b"\x01"
    crc = crc32c(head)
    body = b"\xaa" + struct.pack("<I", crc32c(struct.pack("<II", crc, 0) + b"\xaa"))
    assert data == head + struct.pack("<I", crc) + body


def test_a_referring_header_to_the_byte() -> None:
    data = container.pack(Header(ID, 300, 17, 623, 1, 5, Referred(PICTURE, 700, 33)), [b""] * 4)
    # bits: 623, sliced, referring; 700 + 33 * 1024 = 34492
    head = b"HLO\x02" + ID + b"\x6f\x62" + b"\xac\x02" + b"\x11" + b"\x05" + PICTURE + b"\xbc\x86" + bytes(4)
    assert data == seal(head)
    assert container.open(data).header.depth == 33
    assert container.open(container.pack(Header(ID, 1, 1, 0, 1), [b""])).header.depth == 0


def test_the_header_of_an_ordinary_picture_takes_at_most_32_bytes() -> None:
    segments = [bytes(9000)] * 4
    for width, height in ((768, 512), (4032, 3024)):
        data = container.pack(Header(ID, width, height, 1023, 4), segments)
        assert container.open(data).size <= 32
        referred = Header(ID, width, height, 1023, 4, 0, Referred(PICTURE, 1023, 63))
        assert container.open(container.pack(referred, segments)).size == container.open(data).size + 10


@given(
    width=st.integers(1, 600),
    height=st.integers(1, 600),
    level=st.integers(0, 1023),
    parts=st.integers(1, 8),
    side=st.integers(0, 40),
    referred=st.none() | st.builds(Referred, st.binary(min_size=8, max_size=8), LEVEL, st.integers(1, 63)),
    lengths=st.lists(st.integers(0, 300), min_size=1),
)
def test_what_is_packed_is_found_again(
    width: int,
    height: int,
    level: int,
    parts: int,
    side: int,
    referred: Referred | None,
    lengths: list[int],
) -> None:
    header = Header(ID, width, height, level, parts, side, referred)
    count = parts * header.slice_count
    segments = [bytes([i % 251]) * lengths[i % len(lengths)] for i in range(count)]
    data = container.pack(header, segments)
    stream = container.open(data)
    assert stream.header == header
    stream.check_whole()
    assert [stream.segment(i) for i in range(count)] == segments


def test_slices_cover_the_map_row_by_row() -> None:
    found = Header(ID, 100, 50, 0, 1, 3).slices  # 7 columns, 4 rows
    assert [(s[0].start, s[0].stop, s[1].start, s[1].stop) for s in found] == [
        (0, 3, 0, 3),
        (0, 3, 3, 6),
        (0, 3, 6, 7),
        (3, 4, 0, 3),
        (3, 4, 3, 6),
        (3, 4, 6, 7),
    ]


def test_a_segment_in_another_ones_place_is_noticed() -> None:
    data = container.pack(Header(ID, 16, 16, 0, 2), [b"abc", b"abc"])
    stream = container.open(data)
    first, second = data[stream.size : stream.size + 7], data[stream.size + 7 :]
    swapped = data[: stream.size] + second + first
    assert container.open(swapped).segment(0) is None


@pytest.mark.parametrize(
    "referred",
    [
        Referred(b"short", 0, 1),
        Referred(PICTURE, 1024, 1),
        Referred(PICTURE, -1, 1),
        Referred(PICTURE, 0, 0),
        Referred(PICTURE, 0, 64),
    ],
)
def test_a_reference_out_of_range_is_not_packed(referred: Referred) -> None:
    with pytest.raises(ValueError, match="field out of range in Referred"):
        container.pack(Header(ID, 16, 16, 0, 1, 0, referred), [b""])


FIXED = b"HLO\x02" + ID


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not a .helio stream: it starts with b'', expected b'HLO'"),
        (b"\xff\xd8\xff\xe0", "not a .helio stream"),
        (b"HLO\x01" + bytes(40), "format version 1, this program reads 2; update heliograph"),
        (FIXED[:9], "cut in its header: got 9 bytes"),
        (seal(FIXED + b"\x00\x80\x01\x01\x00"), "a reserved bit is set"),
        (seal(FIXED + b"\x00\x00\x00\x01\x00"), "picture is 0x1"),
        (seal(FIXED + b"\x00\x00\xff\xff\x03\xff\xff\x03\x00"), "picture is 65535x65535"),
        (seal(FIXED + b"\x00\x00\x81\x00\x01\x00"), "a number is not in its shortest form"),
        (seal(FIXED + b"\x00\x00\x80\x80\x80\x80\x01\x01\x00"), "a number is not in its shortest form"),
        (seal(FIXED + b"\x00\x20\x01\x01\x00\x00"), "a slice has 0 latents a side, expected 1 to 4096"),
        (
            seal(FIXED + b"\x00\x40\x01\x01" + PICTURE + b"\xff\x03\x00"),
            "its reference has depth 0, expected 1 to 63",
        ),
        (FIXED + b"\x00\x40\x01\x01" + PICTURE + b"\xff", "cut in its header"),
        (seal(FIXED + b"\x00\x20\xff\x7f\xff\x3f\x01\x00"), "cut in its header"),
        (FIXED + b"\x00\x00\x01\x01\x00\x00\x00\x00\x00", "CRC-32C is"),
    ],
)
def test_a_bad_header_is_named(data: bytes, text: str) -> None:
    with pytest.raises(StreamError) as found:
        container.open(data)
    assert text in str(found.value)


def test_lengths_that_do_not_fit_the_bytes_are_named() -> None:
    data = container.pack(Header(ID, 16, 16, 0, 1), [b"abc"])
    with pytest.raises(
        StreamError, match=f"stream is cut: got {len(data) - 1} bytes, its header announces {len(data)}"
    ):
        container.open(data[:-1]).check_whole()
    with pytest.raises(StreamError, match="has bytes added"):
        container.open(data + b"x").check_whole()


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    level=st.integers(0, 1023),
    parts=st.integers(1, 8),
    side=st.integers(0, 9),
    place=st.floats(0, 0.9999),
    value=st.integers(0, 255),
    cut=st.integers(0, 3),
    referred=st.none() | st.builds(Referred, st.just(PICTURE), LEVEL, st.integers(1, 63)),
)
def test_c_and_python_read_the_same_of_any_header(
    width: int,
    height: int,
    level: int,
    parts: int,
    side: int,
    place: float,
    value: int,
    cut: int,
    referred: Referred | None,
) -> None:
    core = load_core()
    assert core is not None
    header = Header(ID, width, height, level, parts, side, referred)
    data = container.pack(header, [b"ab"] * (parts * header.slice_count))
    body = bytearray(data[: container.open(data).size - 4])
    body[int(place * len(body))] = value
    changed = seal(bytes(body[: len(body) - cut])) + data[len(body) + 4 :]

    def in_python() -> object:
        try:
            found = container.open(changed)
        except StreamError:
            return None
        h = found.header
        lengths = [length for _, length in found.segments]
        fields = (h.codec_id, h.width, h.height, h.level, h.parts, h.side, h.slice_count)
        named = h.reference or Referred(b"", 0, 0)
        return (*fields, found.size, found.crc, lengths, named.picture_id, named.level, named.depth)

    def in_c() -> object:
        try:
            return core.parse(changed)
        except ValueError:
            return None

    assert in_c() == in_python()


@given(crc=st.integers(0, 2**32 - 1), number=st.integers(0, 2**32 - 1), payload=st.binary())
def test_c_and_python_agree_on_the_crc_of_a_segment(crc: int, number: int, payload: bytes) -> None:
    core = load_core()
    assert core is not None
    assert core.segment_crc(crc, number, payload) == container.segment_crc(crc, number, payload)


def test_the_first_bytes_claim_a_size() -> None:
    data = container.pack(container.Header(bytes(8), 300, 5, 500, 1), [b""])
    assert data[14:17] == b"\xac\x02\x05"  # 300 = 0x2c + 2 * 128, and 5
    assert container.claimed_size(data) == container.claimed_size(data[:17]) == (300, 5)
    for cut in (b"", data[:13], data[:16], b"HLO\x01" + data[4:], b"PNG" + data[3:]):
        assert container.claimed_size(cut) == (0, 0)
    assert container.claimed_size(data[:14] + b"\xff" * 9) == (0, 0)
