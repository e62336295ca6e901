"""The device's side: a picture through the int8 encoder, quantisation and entropy coding to a stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heliograph.codec import format as container
from heliograph.codec import tiles
from heliograph.codec.manifest import Codec
from heliograph.device.runtime import Model
from heliograph.errors import CodecError, PictureError


class Encoder:
    """A codec's encoder on a runtime; see `Model` for the arguments and errors."""

    def __init__(
        self, codec: Codec, *, runtime: str | None = None, delegate: str | None = None, threads: int = 1
    ) -> None:
        self.codec = codec
        self._model = Model(codec.encoder, runtime=runtime, delegate=delegate, threads=threads)
        expected = (codec.tile, codec.tile, 3)
        side = codec.tile // tiles.STRIDE
        if self._model.input_shape != expected or self._model.output_shape != (side, side, codec.channels):
            raise CodecError(
                f"encoder maps {self._model.input_shape} to {self._model.output_shape}, the manifest says "
                f"{expected} to {(side, side, codec.channels)}; copy the codec folder again"
            )

    @property
    def runtime(self) -> str:
        """The name of the runtime in use."""
        return self._model.runtime

    def latents(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
        """Return the latents int8 [ceil(H/16), ceil(W/16), C] of a picture uint8 [H, W, 3], sRGB."""
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise PictureError(f"expected uint8 [H, W, 3], got {picture.dtype} {list(picture.shape)}")
        height, width = picture.shape[:2]
        tiles.check_size(width, height)
        out = np.empty((*tiles.latent_shape(width, height), self.codec.channels), np.int8)
        for (rows, columns), tile in tiles.cut(picture, self.codec.tile):
            # int8 = uint8 - 128: the model's input has scale 1/255 and zero point -128
            found = self._model((tile ^ 0x80).view(np.int8))
            out[rows, columns] = found[: rows.stop - rows.start, : columns.stop - columns.start]
        return out

    def encode(self, picture: npt.NDArray[np.uint8], quality: int) -> bytes:
        """Return the .helio stream of a picture at a quality of 0 to 100."""
        return pack_latents(self.codec, self.latents(picture), picture.shape[1], picture.shape[0], quality)


def pack_latents(
    codec: Codec, latents: npt.NDArray[np.int8], width: int, height: int, quality: int
) -> bytes:
    """Return the stream of latents already computed: any quality without another inference."""
    lanes, payload = codec.rates.encode(latents, quality)
    return container.pack(container.Stream(codec.id, width, height, quality, lanes, payload))
