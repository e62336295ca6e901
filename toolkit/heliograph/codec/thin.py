"""Thinning: a finished stream without its upper layers, with neither the network nor an entropy decoder."""

from __future__ import annotations

from dataclasses import replace

from heliograph.codec import container
from heliograph.errors import StreamError


def filled_parts(stream: container.Stream) -> int:
    """Return how many of the first parts hold all of the stream's bytes: 0 if it has none, at most `parts`."""
    slices = stream.header.slice_count
    filled = [number // slices for number, (_, length) in enumerate(stream.segments) if length]
    return filled[-1] + 1 if filled else 0


def thin(data: bytes, parts: int) -> bytes:
    """Return the stream with only its first `parts` parts; the segments of the others get length 0.

    It is a whole stream, and another picture: what refers to the old one does not decode with it. Without a reference
    it decodes to the values that partial decoding gives for the old stream cut after those parts; with one the dropped
    layers are what is expected from the reference, not the reference, and so they are with a base. A base alone becomes
    a stream of one part and of its own level.

    The header changes with its lengths, so its CRC and that of every kept segment are made anew; a kept segment is
    checked first, so that thinning never puts a good checksum on damaged bytes.

    Args:
        data: a whole stream.
        parts: at least 1; of a stream with no more parts nothing is taken.

    Raises:
        StreamError: malformed, cut, bytes added, or a segment that would be kept is damaged.
    """
    if parts < 1:
        raise ValueError(f"parts is {parts}, expected at least 1: a stream without any part is no picture")
    stream = container.open(data)
    stream.check_whole()
    kept = parts * stream.header.slice_count
    segments = []
    for number in range(len(stream.segments)):
        payload = stream.segment(number) if number < kept else b""
        if payload is None:
            raise StreamError(
                f"stream is corrupt: the CRC-32C of segment {number} does not fit, so it cannot be thinned; "
                "fetch the file again"
            )
        segments.append(payload)
    header = stream.header
    if header.base_level is not None and parts == 1:
        header = replace(header, level=header.base_level, base_level=None, parts=1)
        segments = segments[:kept]
    return container.pack(header, segments)
