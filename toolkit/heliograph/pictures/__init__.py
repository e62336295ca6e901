"""Picture files as the pixels every part of Heliograph works on: upright 8-bit sRGB."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from heliograph.codec import tiles
from heliograph.errors import PictureError
from heliograph.files import open_regular
from heliograph.pictures import deep, jpeg, tiff
from heliograph.srgb import doubts, to_srgb, upright

# What a camera or an editor writes. Pillow reads more, some of it by starting other programs (EPS).
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")

# Chunks of a PNG file that hold words. Pillow refuses files with long ones, as cameras of telescopes write.
_WORDS = (b"tEXt", b"zTXt", b"iTXt")

# Of a file: what 16 bits and four channels of each pixel take, and what else a camera stores. Some decoders read all.
BYTES_PER_PIXEL, BYTES_BESIDE = 8, 64 << 20

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

SUFFIXES = {
    *(".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo"),
    *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
}


def list_pictures(folder: Path) -> list[Path]:
    """Return all picture files below a folder, sorted; PictureError if there is none."""
    if not os.path.isdir(folder):  # noqa: PTH112 - of a name that is too long pathlib raises
        raise PictureError(f"folder {folder} does not exist: give a folder of pictures")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise PictureError(
            f"no pictures in {folder}: expected files ending in {', '.join(sorted(SUFFIXES))}; give another folder"
        )
    return files


def load_srgb(path: Path, *, max_pixels: int = tiles.MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Read a picture as uint8 [H, W, 3] sRGB, upright, its ICC profile applied.

    Transparent parts are over black, samples of more than 8 bits rounded; of an animation it is the first frame, of a
    TIFF file the full picture.

    Raises:
        PictureError: no file, no picture, a format not in FORMATS, cut or corrupt, not the full picture, larger than
            `tiles.MAX_PIXELS`, or larger than `max_pixels`; the last two before anything is decoded.
    """
    return _load(path, lambda: open_regular(path), max_pixels)


def read_srgb(data: bytes, name: str, *, max_pixels: int = tiles.MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Do what `load_srgb` does with the bytes of a file, which messages call `name`."""
    return _load(name, lambda: io.BytesIO(data), max_pixels)


def image_srgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return a Pillow image as uint8 [H, W, 3] sRGB, upright; of one that is not decoded yet, all bits of its file.

    Raises:
        PictureError: see `to_srgb`.
        OSError, ValueError ...: what Pillow raises as it decodes.
    """
    file = getattr(image, "fp", None)
    is_jpeg = image.format in ("JPEG", "MPO")
    if file is None or image.tell() or not (is_jpeg or deep.is_deep(image)):
        return to_srgb(upright(image))
    at = file.tell()
    file.seek(0)
    data = io.BytesIO(file.read())
    file.seek(at)  # the image itself stays as it is
    if is_jpeg:
        pixels = to_srgb(upright(image))
        jpeg.check(data)
        return pixels
    samples = deep.samples(image, lambda: Image.open(data, formats=[image.format or ""]))
    return to_srgb(image, samples)


def _load(path: Path | str, open_it: Callable[[], IO[bytes]], max_pixels: int) -> npt.NDArray[np.uint8]:
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        with doubts.about(path), open_it() as file:
            _check_bytes(file.seek(0, os.SEEK_END), max_pixels)
            file.seek(0)
            try:
                return _decode(file, formats, max_pixels)
            except ValueError as error:
                if "MAX_TEXT" not in str(error):
                    raise
                file.seek(0)
                return _decode(io.BytesIO(_without_words(file.read())), formats, max_pixels)
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from None
    except UnidentifiedImageError:
        raise PictureError(
            f"{path} is not a picture: expected one of {', '.join(formats)}; check the file"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureError(
            f"{path} has more pixels than PIL.Image.MAX_IMAGE_PIXELS; raise that, or scale it down first"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise PictureError(f"cannot read picture {path}: {reason}; check the file") from error
    except Exception as error:  # whatever a broken file makes of Pillow's decoders
        raise PictureError(
            f"cannot read picture {path}: {type(error).__name__}: {error}; check the file"
        ) from error


def _decode(file: IO[bytes], formats: list[str], max_pixels: int) -> npt.NDArray[np.uint8]:
    chosen = tiff.choose(file) if tiff.is_tiff(file.read(4)) else None
    source = file if chosen is None else chosen.file

    def open_again() -> Image.Image:
        source.seek(0)
        return Image.open(source, formats=formats)

    try:
        opened = open_again()
    except UnidentifiedImageError:
        if chosen is None:
            raise
        raise PictureError(
            f"TIFF files of this kind, with {chosen.bits} bits a sample, are not read; save it with 8 or 16 bits"
        ) from None
    _check_pixels(*opened.size, max_pixels)
    _mend_transparency(opened)
    samples = deep.samples(opened, open_again)
    pixels = to_srgb(upright(opened) if samples is None else opened, samples)
    if opened.format in ("JPEG", "MPO"):
        jpeg.check(source)
    return pixels if chosen is None else _turned(pixels, chosen.orientation)


def _turned(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Return pixels [H, W, 3] turned as an EXIF orientation says; as they are for one that there is not."""
    turn = _TURNS.get(orientation)
    return pixels if turn is None else np.asarray(Image.fromarray(pixels).transpose(turn))


def _mend_transparency(picture: Image.Image) -> None:
    """Scale the one transparent grey of a PNG file with 2 or 4 bits as Pillow scales the others."""
    grey, scale = picture.info.get("transparency"), {"L;2": 85, "L;4": 17}.get(deep.way(picture))
    if scale and isinstance(grey, int):
        picture.info["transparency"] = grey * scale


def _without_words(data: bytes) -> bytes:
    """Return a PNG file without its chunks of text."""
    kept, at = [data[:8]], 8
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind not in _WORDS:
            kept.append(data[at : at + 12 + size])
        at += 12 + size
    return b"".join(kept)


def _check_bytes(size: int, max_pixels: int) -> None:
    most = BYTES_PER_PIXEL * max_pixels + BYTES_BESIDE
    if size > most:
        raise PictureError(
            f"the file has {size} bytes, a picture of {max_pixels} pixels has at most {most}; scale it down first"
        )


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    tiles.check_size(width, height)
    if width * height > max_pixels:
        raise PictureError(
            f"picture is {width}x{height}, {width * height} pixels, and {max_pixels} are allowed here; "
            "scale it down, or allow more"
        )


def load_folder(folder: Path) -> list[npt.NDArray[np.uint8]]:
    """Return all pictures of a folder, uint8 [H, W, 3] sRGB."""
    return [load_srgb(path) for path in list_pictures(folder)]


def png(picture: npt.NDArray[np.uint8], told: Mapping[str, str] | None = None) -> bytes:
    """Return a picture uint8 [H, W, 3] as the bytes of a PNG file, with words in it by their names."""
    buffer, words = io.BytesIO(), PngImagePlugin.PngInfo()
    for name, text in (told or {}).items():
        words.add_text(name, text)
    # Against the default level 6: three times as fast, and 2 % larger on decoded photographs.
    Image.fromarray(picture).save(buffer, "PNG", compress_level=4, pnginfo=words)
    return buffer.getvalue()


def jpg(picture: npt.NDArray[np.uint8], quality: int, told: Mapping[str, str] | None = None) -> bytes:
    """Return a picture uint8 [H, W, 3] as the bytes of a JPEG file of a quality, 1 to 100, words as its comment."""
    buffer = io.BytesIO()
    comment = "\n".join(f"{name}: {text}" for name, text in (told or {}).items())
    Image.fromarray(picture).save(
        buffer, "JPEG", quality=quality, subsampling=0, optimize=True, comment=comment.encode()
    )
    return buffer.getvalue()
