"""Pictures of any mode, depth and colour profile as what every part of Heliograph works on: 8-bit sRGB."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from heliograph.errors import PictureError
from heliograph.srgb import depth, profile

Samples = npt.NDArray[np.uint16]


def upright(picture: Image.Image) -> Image.Image:
    """Return a picture decoded and turned as its EXIF block says; one with a broken block as it is.

    Raises:
        PictureError: its samples would not be read as they are meant; see `depth.check`.
        OSError, ValueError ...: what Pillow raises.
    """
    depth.check(picture)
    picture.load()
    try:
        # Pillow would copy one that stands upright, 200 MB of a large photograph.
        is_upright = picture.getexif().get(ExifTags.Base.Orientation, 1) == 1
        return picture if is_upright else ImageOps.exif_transpose(picture)
    except Exception:  # a broken EXIF block: the pixels are still a picture
        return picture


def to_srgb(picture: Image.Image, samples: Samples | None = None) -> npt.NDArray[np.uint8]:
    """Return a picture as uint8 [H, W, 3] sRGB, its ICC profile, gamma and primaries applied.

    Transparent parts are over black, samples of more than 8 bits rounded after their colours are right.

    Args:
        samples: uint16 [H, W, C], grey or RGB and perhaps alpha, where the file has more bits than Pillow's picture.

    Raises:
        PictureError: samples whose black and white nobody has said: floating-point, signed, 32 bits; greys beyond 16.
    """
    if picture.mode == "F":
        raise PictureError("floating-point pixels have no defined white; save it with 8 or 16 bits")
    if samples is None:
        samples = depth.grey16(picture)
    if samples is not None:
        return _deep(picture, samples)
    if picture.mode in ("La", "RGBa"):
        picture = picture.convert(picture.mode.replace("a", "A"))
    if not picture.has_transparency_data:
        return profile.apply(picture)
    colours, alpha = _apart(picture)
    return _over_black(profile.apply(colours, picture.info), alpha)


def _over_black(pixels: npt.NDArray[np.uint8], alpha: Image.Image) -> npt.NDArray[np.uint8]:
    colour = Image.fromarray(pixels)
    return np.asarray(Image.composite(colour, Image.new("RGB", colour.size), alpha))


def _apart(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Return the colours, L or RGB, and the alpha of a picture that has one, in whatever way."""
    if picture.mode == "LA":
        return picture.getchannel("L"), picture.getchannel("A")
    straight = picture.convert("RGBA")
    alpha = straight.getchannel("A")
    return (picture if picture.mode == "L" else straight.convert("RGB")), alpha


def _deep(picture: Image.Image, samples: Samples) -> npt.NDArray[np.uint8]:
    count = 1 if samples.shape[2] < 3 else 3
    colours = samples[..., :count]
    pixels = profile.apply_deep(colours, picture.info)
    transparent = picture.info.get("transparency")
    if samples.shape[2] > count:
        return _over_black(pixels, Image.fromarray(profile.to_8_bits(samples[..., count])))
    if isinstance(transparent, int | tuple):  # one colour of a PNG file that stands for nothing
        opaque = (colours != np.asarray(transparent, np.uint16)).any(axis=2)
        return _over_black(pixels, Image.fromarray(opaque.astype(np.uint8) * np.uint8(255)))
    return pixels
