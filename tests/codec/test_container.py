"""The container: its bytes, its size, and what it says about bytes that are none."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from heliograph.codec import container, tiles
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


def test_a_scaled_header_to_the_byte() -> None:
    header = Header(ID, 300, 17, 623, 1, scale=3)
    data = container.pack(header, [b""])
    # bits: 623, scaled; the scale after the size
    assert data == seal(b"HLO\x02" + ID + b"\x6f\x82" + b"\xac\x02" + b"\x11" + b"\x03" + b"\x00")
    assert header.coded_size == (100, 6)  # a third, rounded up
    assert header.latent_shape == (1, 7)


def test_a_refined_header_to_the_byte() -> None:
    header = Header(ID, 300, 17, 623, 5, 5, base_level=179)
    data = container.pack(header, [b""] * 20)
    # bits: 623, four parts beside the base, sliced; the base's level before the lengths
    assert data == seal(
        b"HLO\x42" + ID + b"\x6f\x2e" + b"\xac\x02" + b"\x11" + b"\x05" + b"\xb3\x00" + bytes(20)
    )
    assert container.open(data).header == header
    assert container.claimed_size(data) == (300, 17)


@pytest.mark.parametrize(
    "change", [{"parts": 1}, {"parts": 10}, {"base_level": 623}, {"reference": Referred(PICTURE, 700, 33)}]
)
def test_a_base_that_cannot_be_is_not_packed(change: dict[str, object]) -> None:
    header = replace(Header(ID, 300, 17, 623, 9, base_level=622), **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"field out of range|a base has no place"):
        container.pack(header, [b""] * header.parts)


def test_a_short_stream_to_the_byte() -> None:
    header = Header(ID, 300, 17, 623, 1, 0, Referred(PICTURE, 700, 33), 3, True)
    data = container.pack(header, [b"\xaa"])
    # bits: 623 + 3 * 1024, referring; 700 + 33 * 1024; a length, a byte and the CRC of all
    head = b"HLO\x82" + ID + b"\x6f\x8e" + b"\xac\x02" + b"\x11" + PICTURE + b"\xbc\x86"
    assert data == seal(head + b"\x01\xaa")
    assert container.open(data).segment(0) == b"\xaa"
    assert container.open(data + b"more").total == len(data)


@pytest.mark.parametrize(
    "change", [{"parts": 2}, {"side": 2}, {"width": 1040, "height": 1040}, {"scale": 32}]
)
def test_what_the_short_form_cannot_be_is_not_packed(change: dict[str, int]) -> None:
    header = replace(Header(ID, 600, 300, 623, 1, is_short=True), **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"the short form|scale is out of range"):
        container.pack(header, [b""] * header.parts * header.slice_count)


@pytest.mark.parametrize(
    ("scale", "sides"),
    [(0, (768, 512, 1)), (1, (512, 342, 1)), (2, (384, 256, 1)), (5, (128, 86, 1)), (31, (1, 1, 1))],
)
def test_scales_are_half_octaves(scale: int, sides: tuple[int, int, int]) -> None:
    for side, expected in zip((768, 512, 1), sides, strict=True):
        assert tiles.scaled(side, scale) == expected


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
    scale=st.integers(0, 31),
    is_short=st.booleans(),
)
def test_what_is_packed_is_found_again(
    width: int,
    height: int,
    level: int,
    parts: int,
    side: int,
    referred: Referred | None,
    lengths: list[int],
    scale: int,
    is_short: bool,
) -> None:
    if is_short:
        parts, side = 1, 0
    header = Header(ID, width, height, level, parts, side, referred, scale, is_short)
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


FIXED, SHORT = b"HLO\x02" + ID, b"HLO\x82" + ID


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not a .helio stream: it starts with b'', expected b'HLO'"),
        (b"\xff\xd8\xff\xe0", "not a .helio stream"),
        (b"HLO\x01" + bytes(40), "format version 1, this program reads 2; update heliograph"),
        (FIXED[:9], "cut in its header: got 9 bytes"),
        (seal(FIXED + b"\x00\x80\x01\x01\x00\x00"), "its scale is 0, expected 1 to 31"),
        (seal(FIXED + b"\x00\x80\x01\x01\x20\x00"), "its scale is 32, expected 1 to 31"),
        (seal(SHORT + b"\x00\x00\x01\x01\x01\x05")[:-1], "one as small as this is all or nothing"),
        (SHORT + b"\x00\x00\x01\x01\x01\x05" + bytes(4), "CRC-32C of the stream is"),
        (seal(SHORT + b"\x00\x00\x81\x08\x81\x08\x00"), "4225 positions, expected at most 4096"),
        (seal(SHORT + b"\x00\x00\x01\x01\x80\x80\x01"), "16384 bytes, expected at most 16383"),
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
    scale=st.integers(0, 31),
    is_short=st.booleans(),
    base_level=st.none() | LEVEL,
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
    scale: int,
    is_short: bool,
    base_level: int | None,
) -> None:
    core = load_core()
    assert core is not None
    if is_short:
        parts, side = 1, 0
    if is_short or referred or (base_level is not None and base_level >= level):
        base_level = None
    parts += base_level is not None
    header = Header(ID, width, height, level, parts, side, referred, scale, is_short, base_level)
    data = container.pack(header, [b"ab"] * (parts * header.slice_count))
    body = bytearray(data[: len(data) - 4 if is_short else container.open(data).size - 4])
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
        reference = named.picture_id, named.level, named.depth
        # The short form's CRC is of all in Python, of what is before the payload in C.
        crc = crc32c(changed[: found.size]) if h.is_short else found.crc
        base_level = -1 if h.base_level is None else h.base_level
        return (*fields, found.size, crc, lengths, *reference, h.scale, h.is_short, base_level)

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
