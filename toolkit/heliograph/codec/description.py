"""What a stream says of itself without being decoded."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.codec import container, levels
from heliograph.codec.registry import Registry
from heliograph.errors import CodecError


@dataclass(frozen=True)
class StreamInfo:
    """A stream by its header.

    Attributes:
        width, height: of the picture in pixels.
        quality: 0 to 100 in eighths; below 0 for the smallest budgets.
        codec_id: 16 hexadecimal digits.
        codec: the name of a shipped codec, or None.
        bytes: there are of the stream, of the last one of a chain file.
        announced: bytes the header announces; fewer are a cut stream.
        layers: segments of a slice; 1 in small streams, which keep all layers in one. A base is one of them.
        slices: parts of the picture that survive each other's loss.
        reference: 16 hexadecimal digits that name the picture it refers to, or None.
        depth: how many pictures it builds on; 0 for a picture alone.
        reference_quality: of the picture it refers to, or None.
        base_quality: of the base that a refined stream begins with, or None.
        coded_width, coded_height: of what is coded in pixels, where the picture was made smaller first.
        chain: streams in a chain file, itself among them; 1 for a stream alone.
    """

    width: int
    height: int
    quality: float
    codec_id: str
    codec: str | None
    bytes: int
    announced: int
    layers: int
    slices: int
    reference: str | None = None
    depth: int = 0
    reference_quality: float | None = None
    chain: int = 1
    coded_width: int = 0
    coded_height: int = 0
    base_quality: float | None = None

    @property
    def bpp(self) -> float:
        """Bits per pixel of the bytes there are."""
        return 8 * self.bytes / (self.width * self.height)

    @property
    def is_whole(self) -> bool:
        """Whether as many bytes are there as announced; their checksums were not looked at."""
        return self.bytes == self.announced


def describe(stream: container.Stream) -> StreamInfo:
    """Return what the header of a stream says."""
    header = stream.header
    try:
        name = Registry().by_id(header.codec_id).name
    except CodecError:
        name = None
    coded_width, coded_height = header.coded_size
    return StreamInfo(
        width=header.width,
        height=header.height,
        quality=levels.to_quality(header.level),
        codec_id=header.codec_id.hex(),
        codec=name,
        bytes=len(stream.data),
        announced=stream.total,
        layers=header.parts,
        slices=header.slice_count,
        reference=header.reference.picture_id.hex() if header.reference else None,
        reference_quality=levels.to_quality(header.reference.level) if header.reference else None,
        depth=header.depth,
        chain=len(stream.before) + 1,
        coded_width=coded_width,
        coded_height=coded_height,
        base_quality=None if header.base_level is None else levels.to_quality(header.base_level),
    )
