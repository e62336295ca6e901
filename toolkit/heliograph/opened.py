"""Encoders and decoders that stay open between calls, for the front door and for Pillow."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph import forks
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.registry import Registry, open_codec
from heliograph.device.encoder import Encoder
from heliograph.server.decoders import Decoder

REGISTRY = Registry()  # of the decoders that were asked for without a codec of their own
_encoders: dict[tuple[bytes, int], Encoder] = {}  # by codec and side of a slice
_decoders: dict[Hashable, Decoder] = {}  # by kind and the hashes of a codec's files
_encoding, _opening = forks.Lock(), forks.Lock()


def encode(
    picture: npt.NDArray[np.uint8], rate: Rate, codec: Codec | str | Path, *, slice_tiles: int = 0
) -> bytes:
    """Return the stream of a picture uint8 [H, W, 3]; see `Encoder` for the errors.

    One picture is encoded at a time: an interpreter belongs to one thread.
    """
    codec = open_codec(codec)
    with _encoding:
        encoder = _encoders.get((codec.id, slice_tiles))
        if encoder is None:
            encoder = _encoders[codec.id, slice_tiles] = Encoder(codec, slice_tiles=slice_tiles)
        return encoder.encode(picture, rate)


def decoder(kind: str = "auto", codec: Codec | str | Path | None = None) -> Decoder:
    """Return the decoder of a kind, for streams of `codec` and the shipped ones; see `Decoder` for the errors."""
    opened = None if codec is None else open_codec(codec)
    key = kind, None if opened is None else tuple(sorted(opened.hashes.items()))
    with _opening:
        if key not in _decoders:
            _decoders[key] = (
                Decoder(kind=kind, registry=REGISTRY) if opened is None else Decoder(opened, kind)
            )
        return _decoders[key]
