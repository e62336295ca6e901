"""Pillow reads and writes .helio streams after `import heliograph.pillow`.

    import heliograph.pillow
    from PIL import Image

    Image.open("picture.helio").show()
    Image.open("photo.jpg").save("photo.helio", max_bytes=4096)

Reading. `open` reads the header: size, mode "RGB" and in `info` the quality and the codec's id are known before a
pixel is decoded. `load` decodes, by the large server decoder where Keras is installed and by the small int8 preview
decoder elsewhere; `use_decoder` chooses. A cut or damaged stream is an error; with
`ImageFile.LOAD_TRUNCATED_IMAGES` what is there is decoded, and `info["loss"]` says what was not. Every error of
`open` and `load` is an OSError, as Pillow's users expect, and one of `heliograph.errors` too.

Writing. `save` takes one of `quality` (0 to 100, default 50), `max_bytes` (4096, or "8k") or `bpp`, further `codec` (a
shipped codec's name, a folder, or a `Codec`; default "accelerator"), `slice_tiles` and `keep_scale`. A stream holds
upright 8-bit sRGB and nothing else: an orientation and a colour profile are applied, transparent parts are over black,
and other metadata is left out.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from heliograph import opened
from heliograph.codec import chain, container, levels
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.registry import open_codec
from heliograph.errors import CodecError, RuntimeUnavailableError, StreamError
from heliograph.pictures import image_srgb

FORMAT = "HELIO"
_FIRST_READ = 4096  # bytes; the header of an ordinary stream takes 32
_LARGEST_HEADER = 1 << 25
_LARGEST_CHAIN = 1 << 30


class UnreadableStreamError(StreamError, UnidentifiedImageError):
    """A file that begins as a stream does, with a header that cannot be read."""


class LoadStreamError(StreamError, OSError):
    """A stream that is cut or corrupt after its header."""


class LoadCodecError(CodecError, OSError):
    """A stream whose codec is not here, or not as it should be."""


class LoadRuntimeError(RuntimeUnavailableError, OSError):
    """Neither Keras nor a TFLite runtime is installed, or not the one that was asked for."""


_decoder = opened.decoder()


def use_decoder(kind: str) -> None:
    """Decode with the "server" or the "preview" decoder from now on, or with the better one here: "auto"."""
    global _decoder
    _decoder = opened.decoder(kind)


def add_codec(codec: str | Path | Codec) -> None:
    """Know one more codec when streams are read; CodecError if there is none in the folder."""
    opened.REGISTRY.add(open_codec(codec))


def _accept(prefix: bytes) -> bool:
    return prefix.startswith((container.MAGIC, chain.MAGIC))


def _read_header(file: IO[bytes], data: bytes) -> container.Stream:
    """Return the stream that `data` begins, with what was read of it; StreamError if no more bytes help."""
    if data.startswith(chain.MAGIC):  # its last stream is the picture, and all before it is needed
        data += file.read(_LARGEST_CHAIN)
    while True:
        try:
            return chain.open(data)
        except StreamError:
            more = file.read(len(data)) if len(data) < _LARGEST_HEADER else b""
            if not more:
                raise
            data += more


class HelioImageFile(ImageFile.ImageFile):
    """A .helio stream as an image of Pillow's."""

    format = FORMAT
    format_description = "Heliograph stream"
    _stream: container.Stream | None = None  # until the pixels are there

    def _open(self) -> None:
        assert self.fp is not None
        start = self.fp.read(_FIRST_READ)
        if not _accept(start):
            raise SyntaxError("not a .helio stream")
        try:
            self._stream = _read_header(self.fp, start)
        except StreamError as error:
            raise UnreadableStreamError(str(error)) from None
        header = self._stream.header
        self._mode, self._size = "RGB", (header.width, header.height)
        self.info["quality"] = levels.to_quality(header.level)
        self.info["codec"] = header.codec_id.hex()

    def _whole(self, stream: container.Stream) -> container.Stream:
        """Return the stream with all bytes there are of those its header announces."""
        assert self.fp is not None
        data = stream.data + self.fp.read(max(0, stream.total - len(stream.data)))
        self._stream = replace(stream, data=data[: stream.total])
        return self._stream

    def verify(self) -> None:
        """Check all checksums without decoding; StreamError, which is an OSError, if one does not fit."""
        if self._stream is not None and self.fp is not None:
            stream = self._whole(self._stream)
            try:
                stream.check_whole()
            except StreamError as error:
                raise LoadStreamError(str(error)) from None
            for number in range(len(stream.segments)):
                if stream.segment(number) is None:
                    raise LoadStreamError(
                        f"stream is corrupt: the CRC-32C of segment {number} does not fit; fetch the file again"
                    )
        super().verify()

    def load(self) -> Any:
        """Decode the pixels, once; see the module for the errors."""
        if self._stream is not None and self.fp is not None:
            pixels = self._pixels(self._whole(self._stream))
            self._stream = None
            if self._exclusive_fp:  # type: ignore[has-type, unused-ignore]
                self.fp.close()
            self.fp = BytesIO(pixels)
            self._exclusive_fp = True
            self.tile = [("raw", (0, 0, *self.size), 0, "RGB")]  # type: ignore[list-item, unused-ignore]
        return super().load()

    def _pixels(self, stream: container.Stream) -> bytes:
        try:
            decoded = _decoder.values(stream, partial=ImageFile.LOAD_TRUNCATED_IMAGES)
            if not decoded.loss.is_none:
                self.info["loss"] = str(decoded.loss)
            return np.ascontiguousarray(_decoder.pixels(decoded)).tobytes()
        except StreamError as error:
            reason = str(error).replace("with --partial", "with PIL.ImageFile.LOAD_TRUNCATED_IMAGES = True")
            raise LoadStreamError(reason) from error
        except CodecError as error:
            raise LoadCodecError(
                str(error).replace("with --codec", "to heliograph.pillow.add_codec")
            ) from error
        except RuntimeUnavailableError as error:
            raise LoadRuntimeError(str(error)) from error


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Encode an image; HeliographError, for options that are none or exclude each other a ValueError too."""
    options: dict[str, Any] = image.encoderinfo
    keep_scale = bool(options.get("keep_scale", False))
    rate = Rate(options.get("quality"), options.get("max_bytes"), options.get("bpp"), keep_scale)
    slice_tiles = int(options.get("slice_tiles", 0))
    picture, codec = image_srgb(image), options.get("codec", "accelerator")
    file.write(opened.encode(picture, rate, codec, slice_tiles=slice_tiles))


Image.register_open(FORMAT, HelioImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, ".helio")
Image.register_mime(FORMAT, "image/x-helio")
