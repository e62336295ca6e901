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

Writing. `save` takes one of `quality` (0 to 100, default 50), `max_bytes` or `bpp`, further `codec` (a shipped codec's
name, a folder, or a `Codec`; default "accelerator") and `slice_tiles`. A stream holds upright 8-bit sRGB and nothing
else: an orientation and a colour profile are applied, transparent parts are over black, and other metadata is left out.
"""

from __future__ import annotations

import threading
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from heliograph.codec import container, levels, manifest
from heliograph.codec.manifest import Codec
from heliograph.device.encoder import Encoder
from heliograph.errors import CodecError, RuntimeUnavailableError, StreamError
from heliograph.server.codecs import KINDS, Codecs
from heliograph.srgb import to_srgb, upright

FORMAT = "HELIO"
_FIRST_READ = 4096  # bytes; the header of an ordinary stream takes 32
_LARGEST_HEADER = 1 << 25


class UnreadableStreamError(StreamError, UnidentifiedImageError):
    """A file that begins as a stream does, with a header that cannot be read."""


class LoadStreamError(StreamError, OSError):
    """A stream that is cut or corrupt after its header."""


class LoadCodecError(CodecError, OSError):
    """A stream whose codec is not here, or not as it should be."""


class LoadRuntimeError(RuntimeUnavailableError, OSError):
    """Neither Keras nor a TFLite runtime is installed, or not the one that was asked for."""


_codecs = Codecs()
_encoders: dict[bytes, Encoder] = {}
_encoding = threading.Lock()  # an interpreter belongs to one thread at a time


def use_decoder(kind: str) -> None:
    """Decode with the "server" or the "preview" decoder from now on, or with the better one here: "auto"."""
    global _codecs
    if kind not in KINDS:
        raise ValueError(f"decoder is {kind!r}, expected one of {', '.join(KINDS)}")
    _codecs = Codecs(kind, extra=_codecs.known)


def add_codec(codec: str | Path | Codec) -> None:
    """Know one more codec when streams are read; CodecError if there is none in the folder."""
    _codecs.add(_codec(codec))


def _codec(given: str | Path | Codec) -> Codec:
    return given if isinstance(given, Codec) else manifest.find(str(given))


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(container.MAGIC)


def _read_header(file: IO[bytes], data: bytes) -> tuple[container.Layout, bytes]:
    """Return the header that `data` begins, and what was read beyond it; StreamError if no more bytes help."""
    while True:
        try:
            return container.unpack(data), data
        except StreamError:
            more = file.read(len(data)) if len(data) < _LARGEST_HEADER else b""
            if not more:
                raise
            data += more


class HelioImageFile(ImageFile.ImageFile):
    """A .helio stream as an image of Pillow's."""

    format = FORMAT
    format_description = "Heliograph stream"
    _layout: container.Layout | None = None  # until the pixels are there
    _read = b""

    def _open(self) -> None:
        assert self.fp is not None
        start = self.fp.read(_FIRST_READ)
        if not _accept(start):
            raise SyntaxError("not a .helio stream")
        try:
            layout, data = _read_header(self.fp, start)
        except StreamError as error:
            raise UnreadableStreamError(str(error)) from None
        self._layout, self._read = layout, data
        header = layout.header
        self._mode, self._size = "RGB", (header.width, header.height)
        self.info["quality"] = levels.to_quality(header.level)
        self.info["codec"] = header.codec_id.hex()

    def _data(self, layout: container.Layout) -> bytes:
        """Return the stream's bytes, as many as there are of those its header announces."""
        assert self.fp is not None
        self._read += self.fp.read(max(0, layout.total - len(self._read)))
        return self._read[: layout.total]

    def verify(self) -> None:
        """Check all checksums without decoding; StreamError, which is an OSError, if one does not fit."""
        if self._layout is not None and self.fp is not None:
            layout, data = self._layout, self._data(self._layout)
            try:
                container.check_whole(layout, data)
            except StreamError as error:
                raise LoadStreamError(str(error)) from None
            for number in range(len(layout.segments)):
                if container.segment(layout, data, number) is None:
                    raise LoadStreamError(
                        f"stream is corrupt: the CRC-32C of segment {number} does not fit; fetch the file again"
                    )
        super().verify()

    def load(self) -> Any:
        """Decode the pixels, once; see the module for the errors."""
        if self._layout is not None and self.fp is not None:
            pixels = self._pixels(self._data(self._layout))
            self._layout, self._read = None, b""
            if self._exclusive_fp:  # type: ignore[has-type, unused-ignore]
                self.fp.close()
            self.fp = BytesIO(pixels)
            self._exclusive_fp = True
            self.tile = [("raw", (0, 0, *self.size), 0, "RGB")]  # type: ignore[list-item, unused-ignore]
        return super().load()

    def _pixels(self, data: bytes) -> bytes:
        try:
            decoded = _codecs.symbols(data, partial=ImageFile.LOAD_TRUNCATED_IMAGES)
            if not decoded.loss.is_none:
                self.info["loss"] = str(decoded.loss)
            return np.ascontiguousarray(_codecs.pixels(decoded)).tobytes()
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
    """Encode an image; HeliographError, or ValueError for options that exclude each other."""
    options: dict[str, Any] = image.encoderinfo
    rates = [name for name in ("quality", "max_bytes", "bpp") if options.get(name) is not None]
    if len(rates) > 1:
        raise ValueError(f"{' and '.join(rates)} exclude each other; give one")
    quality = 50.0 if options.get("quality") is None else float(options["quality"])
    if not 0 <= quality <= 100:
        raise ValueError(f"quality is {quality:g}, expected 0 to 100")
    slices = int(options.get("slice_tiles", 0))
    picture = to_srgb(upright(image))
    codec = _codec(options.get("codec", "accelerator"))
    with _encoding:
        encoder = _encoders.get(codec.id)
        if encoder is None or encoder.codec.folder != codec.folder:
            encoder = _encoders[codec.id] = Encoder(codec)
        if rates and rates[0] != "quality":
            budget, bpp = options.get("max_bytes"), options.get("bpp")
            data = encoder.encode_within(picture, max_bytes=budget, bpp=bpp, slice_tiles=slices).data
        else:
            data = encoder.encode(picture, quality, slice_tiles=slices)
    file.write(data)


Image.register_open(FORMAT, HelioImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, ".helio")
Image.register_mime(FORMAT, "image/x-helio")
