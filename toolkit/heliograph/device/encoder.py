"""The device's side: a picture through the int8 encoder, quantisation and entropy coding to a stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import tiles
from heliograph.codec.manifest import Codec
from heliograph.codec.pack import Packed, pack_latents, pack_within
from heliograph.device.runtime import Model
from heliograph.errors import CodecError, PictureError


class LatentEncoder:
    """An int8 encoder network on a runtime: pictures to latents, tile by tile.

    Attributes:
        runtime: the name of the runtime in use.

    Args:
        model: the bytes of encoder.tflite.
        tile: side of its input in pixels.
        channels: of its latents.
        runtime, delegate, threads: see `Model`, whose errors are raised too.

    Raises:
        CodecError: the model has other shapes than tile and channels say.
    """

    def __init__(
        self,
        model: bytes,
        *,
        tile: int,
        channels: int,
        runtime: str | None = None,
        delegate: str | None = None,
        threads: int = 1,
    ) -> None:
        self.tile, self.channels = tile, channels
        network = Model(model, runtime=runtime, delegate=delegate, threads=threads)
        side = tile // tiles.STRIDE
        expected = (tile, tile, 3), (side, side, channels)
        found = network.input_shape, network.output_shape
        self.runtime = network.runtime
        self._model: Any = network  # or what else computes int8 latents of an int8 tile
        if found != expected:
            raise CodecError(
                f"encoder maps {found[0]} to {found[1]}, the manifest says {expected[0]} to {expected[1]}; "
                "copy the codec folder again"
            )

    def latents(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
        """Return the latents int8 [ceil(H/16), ceil(W/16), C] of a picture uint8 [H, W, 3], sRGB."""
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise PictureError(f"expected uint8 [H, W, 3], got {picture.dtype} {list(picture.shape)}")
        height, width = picture.shape[:2]
        tiles.check_size(width, height)
        out = np.empty((*tiles.latent_shape(width, height), self.channels), np.int8)
        for (rows, columns), tile in tiles.cut(picture, self.tile):
            # int8 = uint8 - 128: the model's input has scale 1/255 and zero point -128
            found = self._model((tile ^ 0x80).view(np.int8))
            out[rows, columns] = found[: rows.stop - rows.start, : columns.stop - columns.start]
        return out


class Encoder(LatentEncoder):
    """A codec's encoder on a runtime: pictures to streams; see `LatentEncoder` for arguments and errors."""

    def __init__(
        self, codec: Codec, *, runtime: str | None = None, delegate: str | None = None, threads: int = 1
    ) -> None:
        super().__init__(
            codec.encoder,
            tile=codec.tile,
            channels=codec.channels,
            runtime=runtime,
            delegate=delegate,
            threads=threads,
        )
        self.codec = codec

    def encode(
        self, picture: npt.NDArray[np.uint8], quality: float, *, slice_tiles: int = 0, layered: bool = False
    ) -> bytes:
        """Return the .helio stream of a picture at a quality of 0 to 100, in eighths; for `layered` see `Packer`."""
        height, width = picture.shape[:2]
        latents = self.latents(picture)
        return pack_latents(
            self.codec, latents, width, height, quality, slice_tiles=slice_tiles, layered=layered
        )

    def encode_within(
        self,
        picture: npt.NDArray[np.uint8],
        *,
        max_bytes: int | None = None,
        bpp: float | None = None,
        slice_tiles: int = 0,
        layered: bool = False,
    ) -> Packed:
        """Return the finest stream within a budget of bytes or of bits per pixel, after one inference.

        Raises:
            PictureError: not even the coarsest stream fits.
        """
        height, width = picture.shape[:2]
        return pack_within(
            self.codec,
            self.latents(picture),
            width,
            height,
            max_bytes=max_bytes,
            bpp=bpp,
            slice_tiles=slice_tiles,
            layered=layered,
        )
