"""From a stream's bytes to symbols and dequantised latents: all of decoding that is integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.codec import format as container
from heliograph.codec import rate, tiles
from heliograph.codec.manifest import Codec, find_by_id


@dataclass(frozen=True)
class Decoded:
    """The integers of a picture: `symbols` int16 and `values` int32 (sixteenths of a latent unit), [h, w, C]."""

    codec: Codec
    width: int
    height: int
    quality: int
    symbols: npt.NDArray[np.int16]

    @property
    def values(self) -> npt.NDArray[np.int32]:
        return rate.dequantise(self.symbols, self.codec.rates.steps[self.quality])


def decode_stream(data: bytes, codec: Codec | None = None) -> Decoded:
    """Parse a stream and decode its symbols with the codec of its id, among `codec` and the shipped ones.

    Raises:
        StreamError: malformed, cut or corrupt bytes.
        CodecError: a codec nobody here has.
    """
    stream = container.unpack(data)
    codec = find_by_id(stream.codec_id, codec)
    shape = tiles.latent_shape(stream.width, stream.height)
    symbols = codec.rates.decode(stream.payload, stream.lanes, stream.quality, shape)
    return Decoded(codec, stream.width, stream.height, stream.quality, symbols)
