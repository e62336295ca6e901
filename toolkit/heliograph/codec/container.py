"""The .helio container: a checked header and segments in order of worth (FORMAT.md, sections 2 and 3).

A small stream has the short form: one payload, and one CRC behind it. It is whole, or it is nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from crc32c import crc32c

from heliograph.codec import tiles
from heliograph.codec.levels import LEVELS
from heliograph.codec.values import ID_BYTES
from heliograph.codec.varint import Cut, read_varint, varint
from heliograph.errors import PictureError, StreamError

MAGIC = b"HLO"
VERSION = 2
CRC_BYTES = 4
MAX_SLICE_SIDE = 4096  # latents
MAX_LAYERS = 8
MAX_SCALE = 31
MAX_SHORT = 16_383  # bytes of the short form's payload
MAX_SHORT_POSITIONS = 4096
_FIXED = struct.Struct("<3sB8sH")
MAX_DEPTH = 63
_REFERENCE = struct.Struct("<8sH")
_SLICED, _REFERRING, _SCALED = 1 << 13, 1 << 14, 1 << 15
_BASE = struct.Struct("<H")
_SHORT, _REFINED = 128, 64  # of the version's byte
_FORMS = _SHORT | _REFINED
_SHORT_REFERRING = 1 << 15


@dataclass(frozen=True)
class Referred:
    """The picture that a stream refers to.

    Attributes:
        picture_id: 8 bytes, see `values.picture_id`.
        level: 0 to 1023, that of the picture.
        depth: 1 if it refers to no picture itself, else one more than its own, at most 63.
    """

    picture_id: bytes
    level: int
    depth: int


@dataclass(frozen=True)
class Header:
    """What a stream says of itself before its segments.

    Attributes:
        codec_id: 8 bytes.
        width, height: of the picture in pixels.
        level: 0 to 1023, see `levels`.
        parts: segments of a slice, 1 or the codec's number of layers; one more if it is refined.
        side: of a slice in latents, or 0 for one slice.
        reference: what it refers to, or None for a picture alone.
        scale: 0 to 31; what is coded is smaller than the picture, see `tiles.scaled`.
        is_short: whether it has the short form: one payload and one CRC, all or nothing.
        base_level: of the base of a refined stream, below `level`; None if it has none. The first segment of a slice
            is then all of it at that level, and the others refer to that.
    """

    codec_id: bytes
    width: int
    height: int
    level: int
    parts: int
    side: int = 0
    reference: Referred | None = None
    scale: int = 0
    is_short: bool = False
    base_level: int | None = None

    @property
    def coded_size(self) -> tuple[int, int]:
        """Width and height of what is coded, in pixels."""
        return tiles.scaled(self.width, self.scale), tiles.scaled(self.height, self.scale)

    @property
    def latent_shape(self) -> tuple[int, int]:
        """Rows and columns of the latent map."""
        return tiles.latent_shape(*self.coded_size)

    @property
    def is_refined(self) -> bool:
        """Whether the first segment of a slice is a base that the others refine."""
        return self.base_level is not None

    @property
    def kind(self) -> tuple[bytes, int, int, int]:
        """What a picture and its reference have in common: codec, width, height, scale."""
        return self.codec_id, self.width, self.height, self.scale

    @property
    def depth(self) -> int:
        """How many pictures it builds on, one after the other: 0 for a picture alone."""
        return self.reference.depth if self.reference else 0

    @property
    def slices(self) -> list[tiles.Place]:
        """Rows and columns of every slice in the latent map, row by row."""
        rows, columns = self.latent_shape
        return list(tiles.places(rows, columns, self.side or max(rows, columns)))

    @property
    def slice_count(self) -> int:
        """Number of slices."""
        rows, columns = self.latent_shape
        return -(-rows // self.side) * -(-columns // self.side) if self.side else 1


@dataclass(frozen=True)
class Stream:
    """A stream whose header was parsed and checked; its segments are checked as they are taken.

    Attributes:
        data: the stream's bytes, as many as there are of them.
        size: bytes of the header, of the short form those before its payload.
        crc: CRC-32C of the header, which every segment's begins with; the short form's is of all and was checked.
        segments: the place of every segment, (first byte, payload length), layer by layer.
        total: bytes that the header announces.
        before: the streams it builds on, the oldest first, where they came in one file with it (see `chain`).
    """

    header: Header
    data: bytes = field(repr=False)
    size: int
    crc: int
    segments: tuple[tuple[int, int], ...] = field(repr=False)
    total: int
    before: tuple[Stream, ...] = field(default=(), repr=False)

    def check_whole(self) -> None:
        """Raise StreamError unless the bytes are exactly as many as the header announces."""
        size = len(self.data)
        if size != self.total:
            is_cut = size < self.total
            what = "is cut" if is_cut else "has bytes added"
            way = "decode what is there with --partial, or " if is_cut else ""
            raise StreamError(
                f"stream {what}: got {size} bytes, its header announces {self.total}; "
                f"{way}fetch the file again"
            )

    def segment(self, number: int) -> bytes | None:
        """Return the payload of a segment, checked; None if it is damaged; EOFError if it is not all there."""
        at, length = self.segments[number]
        if not length:
            return b""
        if at + length + CRC_BYTES > len(self.data):
            raise EOFError
        payload = self.data[at : at + length]
        if self.header.is_short:
            return payload
        (expected,) = struct.unpack_from("<I", self.data, at + length)
        return payload if segment_crc(self.crc, number, payload) == expected else None

    def rest(self, number: int) -> bytes:
        """Return the bytes there are of a segment's payload, unchecked."""
        at, length = self.segments[number]
        return self.data[at : at + length]


def segment_crc(header_crc: int, number: int, payload: bytes) -> int:
    """Return the CRC-32C that binds a payload to its place in its stream."""
    return crc32c(payload, crc32c(struct.pack("<II", header_crc, number)))


def pack(header: Header, segments: list[bytes]) -> bytes:
    """Return the bytes of a stream; `segments` by layers, in each by slices; empty where all is zero."""
    if not 0 <= header.scale <= MAX_SCALE:
        raise ValueError(f"scale is out of range in {header!r}")
    if (
        len(header.codec_id) != 8
        or not 0 <= header.level < LEVELS
        or not 1 <= header.parts - header.is_refined <= MAX_LAYERS
        or not 0 <= header.side <= MAX_SLICE_SIDE
        or len(segments) != header.parts * header.slice_count
    ):
        raise ValueError(f"field out of range in {header!r} with {len(segments)} segments")
    tiles.check_size(header.width, header.height)
    referred = header.reference
    if referred and not (
        len(referred.picture_id) == ID_BYTES
        and 0 <= referred.level < LEVELS
        and 1 <= referred.depth <= MAX_DEPTH
    ):
        raise ValueError(f"field out of range in {referred!r}")
    if header.base_level is not None and (
        not 0 <= header.base_level < header.level or referred or header.is_short
    ):
        raise ValueError(f"a base has no place in {header!r}")
    if header.is_short:
        if problem := _not_short(header, len(segments[0])):
            raise ValueError(f"the short form {problem}")
        version, bits = VERSION | _SHORT, header.level | header.scale << 10
        bits |= _SHORT_REFERRING if referred else 0
    else:
        version = VERSION | (_REFINED if header.is_refined else 0)
        bits = header.level | (header.parts - header.is_refined - 1) << 10 | (_SLICED if header.side else 0)
        bits |= (_REFERRING if referred else 0) | (_SCALED if header.scale else 0)
    head = _FIXED.pack(MAGIC, version, header.codec_id, bits) + varint(header.width) + varint(header.height)
    if header.scale and not header.is_short:
        head += varint(header.scale)
    if header.side:
        head += varint(header.side)
    if referred:
        head += _REFERENCE.pack(referred.picture_id, referred.level | referred.depth << 10)
    if header.base_level is not None:
        head += _BASE.pack(header.base_level)
    head += b"".join(varint(len(s)) for s in segments)
    if header.is_short:
        body = head + segments[0]
        return body + struct.pack("<I", crc32c(body))
    crc = crc32c(head)
    out = [head, struct.pack("<I", crc)]
    for number, payload in enumerate(segments):
        if payload:
            out += [payload, struct.pack("<I", segment_crc(crc, number, payload))]
    return b"".join(out)


def open(data: bytes) -> Stream:
    """Parse and check a header; no segment is read and nothing is allocated for the picture.

    Raises:
        StreamError: not a .helio stream, another version, cut in its header, or corrupt.
    """
    if data[:3] != MAGIC[: len(data[:3])] or not data:
        raise StreamError(
            f"not a .helio stream: it starts with {data[:3]!r}, expected {MAGIC!r}; check the file"
        )
    if len(data) > 3 and data[3] & ~_FORMS != VERSION:
        raise StreamError(
            f"stream has format version {data[3] & ~_FORMS}, this program reads {VERSION}; update heliograph"
        )
    try:
        return _parse(data)
    except Cut:
        raise StreamError(
            f"stream is cut in its header: got {len(data)} bytes, nothing can be decoded; "
            "fetch the file again"
        ) from None
    except ValueError as error:
        raise StreamError(f"stream header is corrupt: {error}; fetch the file again") from None


def claimed_size(data: bytes) -> tuple[int, int]:
    """Return the width and height that the first bytes of a stream claim, unchecked; (0, 0) if they claim none."""
    if len(data) < _FIXED.size or data[:3] != MAGIC or data[3] & ~_FORMS != VERSION:
        return 0, 0
    try:
        width, at = read_varint(data, _FIXED.size)
        return width, read_varint(data, at)[0]
    except ValueError:
        return 0, 0


def _parse(data: bytes) -> Stream:
    if len(data) < _FIXED.size:
        raise Cut
    _, version, codec_id, bits = _FIXED.unpack_from(data)
    is_short, is_refined = bool(version & _SHORT), bool(version & _REFINED)
    if is_short and is_refined:
        raise ValueError("the short form has no base")
    width, at = read_varint(data, _FIXED.size)
    height, at = read_varint(data, at)
    try:
        tiles.check_size(width, height)
    except PictureError as error:
        raise StreamError(f"stream header is corrupt: {error}") from None
    scale = bits >> 10 & MAX_SCALE if is_short else 0
    if not is_short and bits & _SCALED:
        scale, at = read_varint(data, at)
        if not 1 <= scale <= MAX_SCALE:
            raise ValueError(f"its scale is {scale}, expected 1 to {MAX_SCALE}")
    side = 0
    if not is_short and bits & _SLICED:
        side, at = read_varint(data, at)
        if not 1 <= side <= MAX_SLICE_SIDE:
            raise StreamError(
                f"stream header is corrupt: a slice has {side} latents a side, expected 1 to "
                f"{MAX_SLICE_SIDE}; fetch the file again"
            )
    referred = None
    if bits & (_SHORT_REFERRING if is_short else _REFERRING):
        referred, at = _parse_reference(data, at)
    level, parts = bits & (LEVELS - 1), 1 if is_short else (bits >> 10 & 7) + 1 + is_refined
    base_level = None
    if is_refined:
        base_level, at = _parse_base(data, at, level, is_referring=referred is not None)
    header = Header(codec_id, width, height, level, parts, side, referred, scale, is_short, base_level)
    if is_short:
        return _parse_short(header, data, at)
    count = header.parts * header.slice_count
    if len(data) - at < count:  # every length takes a byte at least
        raise Cut
    lengths = []
    for _ in range(count):
        length, at = read_varint(data, at)
        lengths.append(length)
    if len(data) - at < CRC_BYTES:
        raise Cut
    (expected,) = struct.unpack_from("<I", data, at)
    crc = crc32c(data[:at])
    if crc != expected:
        raise StreamError(
            f"stream header is corrupt: CRC-32C is {crc:08x}, expected {expected:08x}; fetch the file again"
        )
    at += CRC_BYTES
    places, size = [], at
    for length in lengths:
        places.append((at, length))
        at += length + CRC_BYTES if length else 0
    return Stream(header, data, size, crc, tuple(places), at)


def _not_short(header: Header, length: int) -> str:
    """Return why a header and a payload cannot have the short form; empty if they can."""
    rows, columns = header.latent_shape
    if header.parts != 1 or header.side:
        return "has one part and no slices"
    if rows * columns > MAX_SHORT_POSITIONS:
        return f"has {rows * columns} positions, expected at most {MAX_SHORT_POSITIONS}"
    return f"has {length} bytes, expected at most {MAX_SHORT}" if length > MAX_SHORT else ""


def _parse_short(header: Header, data: bytes, at: int) -> Stream:
    """Return the stream of a short form whose length is at a byte; all of it has to be there."""
    length, at = read_varint(data, at)
    if problem := _not_short(header, length):
        raise ValueError(f"the short form {problem}")
    end = at + length
    if len(data) < end + CRC_BYTES:
        raise StreamError(
            f"stream is cut: got {len(data)} bytes, its header announces {end + CRC_BYTES}; one as small as this is "
            "all or nothing; fetch the file again"
        )
    (expected,) = struct.unpack_from("<I", data, end)
    crc = crc32c(data[:end])
    if crc != expected:
        raise ValueError(f"CRC-32C of the stream is {crc:08x}, expected {expected:08x}")
    return Stream(header, data, at, crc, ((at, length),), end + CRC_BYTES)


def _parse_reference(data: bytes, at: int) -> tuple[Referred, int]:
    """Return what a stream refers to, and where its header goes on."""
    if len(data) - at < _REFERENCE.size:
        raise Cut
    picture, bits = _REFERENCE.unpack_from(data, at)
    referred = Referred(picture, bits & (LEVELS - 1), bits >> 10)
    if referred.depth < 1:
        raise ValueError(f"its reference has depth 0, expected 1 to {MAX_DEPTH}")
    return referred, at + _REFERENCE.size


def _parse_base(data: bytes, at: int, level: int, *, is_referring: bool) -> tuple[int, int]:
    """Return the level of the base of a refined stream, and where its header goes on."""
    if is_referring:
        raise ValueError("it is refined and refers to a picture")
    if len(data) - at < _BASE.size:
        raise Cut
    (base_level,) = _BASE.unpack_from(data, at)
    if base_level >= level:
        raise ValueError(f"its base has level {base_level}, expected less than its own, {level}")
    return base_level, at + _BASE.size
