"""From a stream's bytes to values: all of decoding that is integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from heliograph.codec import chain, conceal, container, levels, tiles
from heliograph.codec.codec import Codec
from heliograph.codec.coder import Coder, DecodedSlice, Reference
from heliograph.codec.registry import Registry
from heliograph.codec.values import ReferencePicture, Values, picture_id
from heliograph.errors import ReferenceMissing, StreamError

References = Callable[[bytes], Values | None] | Mapping[bytes, Values]  # by picture id


@dataclass(frozen=True)
class Loss:
    """What a partial stream lacked: counts of segments, and slices without any symbols of their own."""

    segments: int
    missing: int = 0
    damaged: int = 0
    cut: int = 0
    concealed: int = 0
    slices: int = 1
    from_reference: bool = False

    @property
    def is_none(self) -> bool:
        """Whether everything was there."""
        return not (self.missing or self.damaged or self.cut)

    def __str__(self) -> str:
        parts = [
            f"{n} {what}"
            for n, what in ((self.missing, "missing"), (self.damaged, "damaged"), (self.cut, "cut"))
            if n
        ]
        if not parts:
            return "complete"
        text = f"of {self.segments} segments {', '.join(parts)}"
        if self.concealed:
            source = "the reference" if self.from_reference else "their neighbours"
            text += f"; {self.concealed} of {self.slices} slices concealed from {source}"
        return text


@dataclass(frozen=True)
class Decoded:
    """The integers of a picture.

    Attributes:
        width, height: of the picture, whatever its scale.
        values: int16 [h, w, C] in 1/16 latent unit, in the encoder's channel order.
        reference: what its stream refers to, or None.
        scale: what was coded is smaller than the picture, see `tiles.scaled`.
    """

    codec: Codec
    width: int
    height: int
    level: int
    values: Values
    loss: Loss = Loss(0)
    reference: container.Referred | None = None
    scale: int = 0

    @property
    def quality(self) -> float:
        """Quality 0 to 100 in eighths, what decoders are conditioned on; those below 0 count as 0."""
        return max(0.0, levels.to_quality(self.level))

    @property
    def coded_size(self) -> tuple[int, int]:
        """Width and height of what was coded, in pixels, which decoders then enlarge."""
        return tiles.scaled(self.width, self.scale), tiles.scaled(self.height, self.scale)

    @property
    def picture_id(self) -> bytes:
        """The 8 bytes that name the picture's values."""
        return picture_id(self.codec.id, self.width, self.height, self.values, self.scale)

    def as_reference(self) -> ReferencePicture:
        """Return the picture for others to refer to."""
        depth = self.reference.depth if self.reference else 0
        return ReferencePicture(self.picture_id, self.values, self.level, depth, self.scale)


def decode_stream(
    stream: container.Stream | bytes,
    codec: Codec | None = None,
    *,
    partial: bool = False,
    references: References | None = None,
) -> Decoded:
    """Decode a stream's values with the codec of its id: `codec`, or a shipped one.

    Args:
        stream: opened, or its bytes, or those of a chain file.
        partial: decode what is there of a cut or damaged stream; `loss` of the result says what was not.
        references: the values, by picture id, that the stream may refer to; a chain file has its own.

    Raises:
        StreamError: malformed bytes; without `partial` also cut or damaged ones.
        ReferenceMissing: a StreamError: it refers to a picture that `references` do not have.
        CodecError: a codec nobody here has.
    """
    if isinstance(stream, bytes):
        stream = chain.open(stream)
    if stream.before:
        references = _before(stream, codec)
    if not partial:
        stream.check_whole()
    segments, loss = _segments(stream, partial=partial)
    header = stream.header
    if codec is None or codec.id != header.codec_id:
        codec = Registry([codec] if codec else []).by_id(header.codec_id)
    model = codec.coder.model
    layers = header.parts - header.is_refined
    if layers not in (1, len(model.layers)):
        raise StreamError(
            f"stream header is corrupt: {layers} segments in a slice, expected 1 or {len(model.layers)}; "
            "fetch the file again"
        )
    if header.is_refined and len(model.sets) < 2:
        raise StreamError(
            f"stream header is corrupt: it is refined, which codec {codec.name} cannot; fetch the file again"
        )
    there = None if header.reference is None else _find(header, header.reference, codec, references)
    pieces: list[
        DecodedSlice | None
    ] = []  # None where all is zero, which no coder needs to find out, and where lost
    lost: set[int] = set()
    for number, (place, (payloads, cut)) in enumerate(zip(header.slices, segments, strict=True)):
        piece, reference = None, None
        if there is not None and header.reference is not None:
            reference = Reference(np.ascontiguousarray(there[place]), header.reference.level)
        is_lost = not payloads
        if any(payloads) or (payloads and reference):
            try:
                piece = _decode_slice(codec.coder, header, place, payloads, cut=cut, reference=reference)
                is_lost = cut and len(payloads) == 1 and not any(piece.read)
            except StreamError:
                if not partial:
                    raise
                is_lost = True
        pieces.append(None if is_lost else piece)
        if is_lost:
            lost.add(number)
    values = _join(header, pieces, lost, codec, there)
    loss = replace(loss, concealed=len(lost), slices=len(pieces), from_reference=there is not None)
    level = header.level
    if header.base_level is not None and all(len(payloads) < 2 for payloads, _ in segments):
        level = (
            header.base_level
        )  # decoders make the best of a base if they take it for the picture that it is
    size = header.width, header.height
    return Decoded(codec, *size, level, values, loss, header.reference, header.scale)


def _decode_slice(
    coder: Coder,
    header: container.Header,
    place: tiles.Place,
    payloads: list[bytes],
    *,
    cut: bool,
    reference: Reference | None,
) -> DecodedSlice:
    """Return what the first payloads of a slice give, see `Coder.decode`; a base is the reference of the rest."""
    rows, columns = (side.stop - side.start for side in place)
    level, parts = header.level, header.parts
    if header.base_level is not None:
        base = coder.decode(
            payloads[:1], rows, columns, header.base_level, merged=True, cut=cut and len(payloads) == 1
        )
        payloads, parts = payloads[1:], parts - 1
        if not payloads:
            return base
        reference = Reference(base.values, header.base_level)
    return coder.decode(
        payloads,
        rows,
        columns,
        level,
        merged=parts == 1,
        short=header.is_short,
        cut=cut,
        reference=reference,
    )


def _before(stream: container.Stream, codec: Codec | None) -> Mapping[bytes, Values]:
    """Return the picture that a stream of a chain file refers to, decoded from those before it; StreamError."""
    there: dict[bytes, Values] = {}
    for number, later in enumerate((*stream.before[1:], stream)):
        decoded = decode_stream(stream.before[number], codec, references=there)
        there = {decoded.picture_id: decoded.values}
        referred = later.header.reference
        if referred is None or referred.picture_id not in there:
            raise StreamError(
                f"chain file is corrupt: its stream {number + 1} does not refer to the picture of the one before it; "
                "fetch the file again"
            )
    return there


def _find(
    header: container.Header, referred: container.Referred, codec: Codec, references: References | None
) -> Values:
    """Return the values that a stream refers to, int16 [h, w, C] in coding order."""
    model = codec.coder.model
    if len(model.sets) < 2:
        raise StreamError(
            f"stream header is corrupt: it refers to a picture, which codec {codec.name} cannot; fetch the file again"
        )
    find = references if callable(references) else (references or {}).get
    values = find(referred.picture_id)
    if values is None:
        raise ReferenceMissing(referred.picture_id, referred.depth)
    shape = (*header.latent_shape, model.channels)
    # Whatever a caller has under this name, nothing but the right picture may be decoded from.
    if (
        values.shape != shape
        or picture_id(codec.id, header.width, header.height, values, header.scale) != referred.picture_id
    ):
        raise ReferenceMissing(referred.picture_id, referred.depth)
    return np.asarray(values[..., model.order], np.int16)


def _join(
    header: container.Header,
    pieces: list[DecodedSlice | None],
    lost: set[int],
    codec: Codec,
    there: Values | None,
) -> Values:
    """Return the values [h, w, C] of all slices in the encoder's channel order, the lost ones concealed.

    Only now, when the bytes have shown that they hold a picture of this size, is memory taken for it.
    """
    model = codec.coder.model
    if len(pieces) == 1 and pieces[0] is not None:
        return model.restore_order(pieces[0].values)
    shape = (*header.latent_shape, model.channels)
    values = np.zeros(shape, np.int16) if there is None else there.copy()
    unknown = np.zeros(values.shape[:2], bool)
    for number, (place, piece) in enumerate(zip(header.slices, pieces, strict=True)):
        unknown[place] = number in lost
        if piece is not None:
            values[place] = piece.values
    if lost and there is None and any(pieces):
        count = model.predicted
        values[..., :count] = conceal.fill(values[..., :count], unknown)
    return model.restore_order(values)


def _segments(stream: container.Stream, *, partial: bool) -> tuple[list[tuple[list[bytes], bool]], Loss]:
    """Return for each slice its payloads up to the first that is not whole, and whether the last is cut."""
    header = stream.header
    slices = header.slice_count
    usable_parts: list[tuple[list[bytes], bool]] = []
    missing = damaged = cut = 0
    for number in range(slices):
        payloads: list[bytes] = []
        usable, is_cut = True, False
        for part in range(header.parts):
            index = part * slices + number
            try:
                payload = stream.segment(index)
            except EOFError:
                rest = stream.rest(index)
                if rest:
                    cut += 1
                    if usable:
                        payloads.append(rest)
                        is_cut = True
                else:
                    missing += 1
                usable = False
                continue
            if payload is None:
                if not partial:
                    raise StreamError(
                        f"stream is corrupt: the CRC-32C of segment {index} does not fit; decode the rest "
                        "with --partial, or fetch the file again"
                    )
                damaged += 1
                usable = False
            elif usable:
                payloads.append(payload)
        usable_parts.append((payloads, is_cut))
    return usable_parts, Loss(len(stream.segments), missing, damaged, cut, 0, slices)
