"""From a stream's bytes to symbols and dequantised latents: all of decoding that is integers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from heliograph.codec import conceal, container, levels, tiles
from heliograph.codec.codec import Codec
from heliograph.codec.coder import DecodedSlice
from heliograph.codec.registry import Registry
from heliograph.errors import StreamError


@dataclass(frozen=True)
class Loss:
    """What a partial stream lacked: counts of segments, and slices without any of their own symbols."""

    segments: int
    missing: int = 0
    damaged: int = 0
    cut: int = 0
    concealed: int = 0
    slices: int = 1

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
            text += f"; {self.concealed} of {self.slices} slices concealed from their neighbours"
        return text


@dataclass(frozen=True)
class Decoded:
    """The integers of a picture: `symbols` int16 and `values` int32 (1/16 latent unit), [h, w, C]."""

    codec: Codec
    width: int
    height: int
    level: int
    symbols: npt.NDArray[np.int16]
    loss: Loss = Loss(0)

    @property
    def quality(self) -> float:
        """Quality 0 to 100 in eighths, what decoders are conditioned on; those below 0 count as 0."""
        return max(0.0, levels.to_quality(self.level))

    @property
    def steps(self) -> npt.NDArray[np.int32]:
        """Steps of the channels, int32 [C], in sixteenths of a latent unit."""
        return self.codec.steps(self.level)

    @property
    def values(self) -> npt.NDArray[np.int32]:
        """Dequantised latents."""
        return quantise.dequantise(self.symbols, self.steps)


def decode_stream(
    stream: container.Stream | bytes, codec: Codec | None = None, *, partial: bool = False
) -> Decoded:
    """Decode a stream's symbols with the codec of its id: `codec`, or a shipped one.

    Args:
        stream: opened, or its bytes.
        partial: decode what is there of a cut or damaged stream; `loss` of the result says what was not.

    Raises:
        StreamError: malformed bytes; without `partial` also cut or damaged ones.
        CodecError: a codec nobody here has.
    """
    if isinstance(stream, bytes):
        stream = container.open(stream)
    if not partial:
        stream.check_whole()
    segments, loss = _segments(stream, partial=partial)
    header = stream.header
    if codec is None or codec.id != header.codec_id:
        codec = Registry([codec] if codec else []).by_id(header.codec_id)
    parts = len(codec.coder.model.layers)
    if header.parts not in (1, parts):
        raise StreamError(
            f"stream header is corrupt: {header.parts} segments in a slice, expected 1 or {parts}; "
            "fetch the file again"
        )
    pieces: list[DecodedSlice | None] = []  # None where all is zero, which no coder needs to find out
    lost: set[int] = set()
    for number, ((rows, columns), (payloads, cut)) in enumerate(zip(header.slices, segments, strict=True)):
        if not any(payloads):
            pieces.append(None)
            if not payloads:
                lost.add(number)
            continue
        size = rows.stop - rows.start, columns.stop - columns.start
        try:
            piece = codec.coder.decode(payloads, *size, header.level, merged=header.parts == 1, cut=cut)
        except StreamError:
            if not partial:
                raise
            pieces.append(None)
            lost.add(number)
            continue
        is_bare = cut and len(payloads) == 1 and not any(piece.read)
        pieces.append(None if is_bare else piece)
        if is_bare:
            lost.add(number)
    symbols = _join(header, pieces, lost, codec)
    loss = replace(loss, concealed=len(lost), slices=len(pieces))
    return Decoded(codec, header.width, header.height, header.level, symbols, loss)


def _join(
    header: container.Header, pieces: list[DecodedSlice | None], lost: set[int], codec: Codec
) -> npt.NDArray[np.int16]:
    """Return the symbols [h, w, C] of all slices in the encoder's channel order, the lost ones concealed.

    Only now, when the bytes have shown that they hold a picture of this size, is memory taken for it.
    """
    model = codec.coder.model
    if len(pieces) == 1 and pieces[0] is not None:
        return model.restore_order(pieces[0].symbols)
    symbols = np.zeros((*tiles.latent_shape(header.width, header.height), model.channels), np.int16)
    if not any(pieces):
        return symbols
    unknown = np.zeros(symbols.shape[:2], bool)
    for number, (place, piece) in enumerate(zip(header.slices, pieces, strict=True)):
        unknown[place] = number in lost
        if piece is not None:
            symbols[place] = piece.symbols
    if lost:
        count = model.predicted
        symbols[..., :count] = conceal.fill(symbols[..., :count], unknown)
    return model.restore_order(symbols)


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
