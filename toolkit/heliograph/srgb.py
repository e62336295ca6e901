"""Pictures of any mode, depth and colour profile as what every part of Heliograph works on: 8-bit sRGB."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms, ImageOps

from heliograph.errors import PictureError


def upright(picture: Image.Image) -> Image.Image:
    """Return a picture turned as its EXIF block says; one with a broken block as it is."""
    picture.load()
    try:
        # Pillow would copy one that stands upright, 200 MB of a large photograph.
        is_upright = picture.getexif().get(ExifTags.Base.Orientation, 1) == 1
        return picture if is_upright else ImageOps.exif_transpose(picture)
    except Exception:  # a broken EXIF block: the pixels are still a picture
        return picture


def to_srgb(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Return a picture as uint8 [H, W, 3] sRGB, its ICC profile applied.

    Transparent parts are over black, 16-bit greys rounded to 8 bits.

    Raises:
        PictureError: floating-point pixels, or greys beyond 16 bits.
    """
    if picture.mode.startswith("I"):
        return _grey16(picture)
    if picture.mode == "F":
        raise PictureError("floating-point pixels have no defined white; save it with 8 or 16 bits")
    if not picture.has_transparency_data:
        colour = _from_profile(picture)
        return np.asarray(colour if colour.mode == "RGB" else colour.convert("RGB"))
    straight = picture.convert("RGBA")
    straight.info["icc_profile"] = picture.info.get("icc_profile")
    colour = _from_profile(straight.convert("RGB")).convert("RGB")
    return np.asarray(Image.composite(colour, Image.new("RGB", colour.size), straight.getchannel("A")))


def _grey16(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Round greys 0..65535 to 0..255 (Pillow would clip them) and repeat them for red, green and blue."""
    grey = np.asarray(picture).astype(np.int64)  # [H, W]
    if grey.min() < 0 or grey.max() > 65_535:
        raise PictureError(
            f"greys from {grey.min()} to {grey.max()}, expected 0 to 65535; save it with 16 bits"
        )
    return np.repeat(((grey + 128) // 257).astype(np.uint8)[..., None], 3, axis=2)


def _from_profile(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "CMYK", "L"):
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, source, target, outputMode="RGB") or picture
    except (ImageCms.PyCMSError, OSError):
        return picture  # a broken profile, or one for other channels: the pixels are still a picture
