"""What a stream says of itself: the fields of its header, and their bytes up to the lengths (FORMAT.md, section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from heliograph.codec import tiles
from heliograph.codec.levels import LEVELS
from heliograph.codec.values import ID_BYTES
from heliograph.codec.varint import Cut, read_varint, varint
from heliograph.errors import PictureError, StreamError

MAGIC = b"HLO"
VERSION = 2
MAX_SLICE_SIDE = 4096  # latents
MAX_LAYERS = 8
MAX_SCALE = 31
MAX_DEPTH = 63
_FIXED = struct.Struct("<3sB8sH")
_REFERENCE, _BASE = struct.Struct("<8sH"), struct.Struct("<H")
_SLICED, _REFERRING, _SCALED = 1 << 13, 1 << 14, 1 << 15
_SHORT, _REFINED = 128, 64  # of the version's byte
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


def check(header: Header) -> None:
    """Raise ValueError for fields out of range, PictureError for a size."""
    if not 0 <= header.scale <= MAX_SCALE:
        raise ValueError(f"scale is out of range in {header!r}")
    if (
        len(header.codec_id) != 8
        or not 0 <= header.level < LEVELS
        or not 1 <= header.parts - header.is_refined <= MAX_LAYERS
        or not 0 <= header.side <= MAX_SLICE_SIDE
    ):
        raise ValueError(f"field out of range in {header!r}")
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


def write(header: Header) -> bytes:
    """Return the bytes of a header that was checked, up to the lengths."""
    if header.is_short:
        version, bits = VERSION | _SHORT, header.level | header.scale << 10
        bits |= _SHORT_REFERRING if header.reference else 0
    else:
        version = VERSION | (_REFINED if header.is_refined else 0)
        bits = header.level | (header.parts - header.is_refined - 1) << 10 | (_SLICED if header.side else 0)
        bits |= (_REFERRING if header.reference else 0) | (_SCALED if header.scale else 0)
    out = _FIXED.pack(MAGIC, version, header.codec_id, bits) + varint(header.width) + varint(header.height)
    if header.scale and not header.is_short:
        out += varint(header.scale)
    if header.side:
        out += varint(header.side)
    if header.reference:
        referred = header.reference
        out += _REFERENCE.pack(referred.picture_id, referred.level | referred.depth << 10)
    return out if header.base_level is None else out + _BASE.pack(header.base_level)


def check_kind(data: bytes) -> None:
    """Raise StreamError unless the first bytes are those of a stream of this version."""
    if data[:3] != MAGIC[: len(data[:3])] or not data:
        raise StreamError(
            f"not a .helio stream: it starts with {data[:3]!r}, expected {MAGIC!r}; check the file"
        )
    version = VERSION if len(data) < 4 else data[3] & ~(_SHORT | _REFINED)
    if version != VERSION:
        raise StreamError(
            f"stream has format version {version}, this program reads {VERSION}; update heliograph"
        )


def claimed_size(data: bytes) -> tuple[int, int]:
    """Return the width and height that the first bytes of a stream claim, unchecked; (0, 0) if they claim none."""
    try:
        check_kind(data)
        width, at = read_varint(data, _FIXED.size)
        return width, read_varint(data, at)[0]
    except (StreamError, ValueError):
        return 0, 0


def read(data: bytes) -> tuple[Header, int]:
    """Return the header of a stream of this version, and where its lengths begin.

    Raises:
        Cut, ValueError, StreamError: it ends early, or a field is illegal.
    """
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
    return header, at


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
