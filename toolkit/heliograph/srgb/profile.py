"""The colours that a picture's file means, by its ICC profile or by gamma and primaries, as 8-bit sRGB."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from heliograph.srgb import doubts
from heliograph.srgb.curves import Curves, of_chunks, of_profile


def apply(picture: Image.Image, info: Mapping[Any, Any] | None = None) -> npt.NDArray[np.uint8]:
    """Return a picture without alpha, of any mode of 8 bits or less, as uint8 [H, W, 3] sRGB.

    Args:
        info: what its file says, if `picture.info` does not.
    """
    info = picture.info if info is None else info
    icc = _usable(info, "GRAY" if picture.mode in ("1", "L") else "CMYK" if picture.mode == "CMYK" else "RGB")
    if picture.mode == "LAB":
        icc = None  # these colours need none
    if picture.mode == "1":
        picture = picture.convert("L")
    if picture.mode != "CMYK" and (picture.mode != "L" or (icc is not None and _space(icc) != b"GRAY")):
        picture = picture.convert("RGB")
    # Of greys lcms makes up to ten levels less where a curve is steep.
    curves = of_profile(icc) if icc is not None and picture.mode == "L" else None
    if curves is None and icc is not None and (managed := _by_lcms(picture, icc)) is not None:
        return managed
    if curves is None and picture.mode in ("L", "RGB"):
        curves = of_chunks(info)
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    return np.asarray(rgb) if curves is None else curves(np.asarray(rgb))


def apply_deep(samples: npt.NDArray[np.uint16], info: Mapping[Any, Any]) -> npt.NDArray[np.uint8]:
    """Return samples of 16 bits, uint16 [H, W, 1] grey or [H, W, 3] RGB, as uint8 [H, W, 3] sRGB."""
    icc = _usable(info, "GRAY" if samples.shape[2] == 1 else "RGB")
    curves: Curves | None = of_profile(icc) if icc is not None else of_chunks(info)
    if curves is not None:
        return curves(samples)
    rounded = to_8_bits(samples)
    if icc is None:
        return rounded if rounded.shape[2] == 3 else np.repeat(rounded, 3, axis=2)
    picture = Image.fromarray(rounded[..., 0] if rounded.shape[2] == 1 else rounded)
    return apply(picture, info)  # a table of colours in the profile: lcms has it for 8 bits


def to_8_bits(samples: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Return samples rounded from 16 bits to 8."""
    rounded = np.empty(samples.shape, np.uint8)
    for row in range(len(samples)):  # in whole, 134 megapixels would take gigabytes
        rounded[row] = (samples[row].astype(np.uint32) + 128) // 257
    return rounded


def _space(icc: bytes) -> bytes:
    return icc[16:20]


def _usable(info: Mapping[Any, Any], kind: str) -> bytes | None:
    """Return the ICC profile of a picture of a kind, if there is one for such a picture."""
    icc = info.get("icc_profile")
    if not isinstance(icc, bytes) or not icc:
        return None
    allowed = {"GRAY": (b"GRAY", b"RGB "), "RGB": (b"RGB ",), "CMYK": (b"CMYK",)}[kind]
    if _space(icc) in allowed:
        return icc
    doubts.warn(f"a colour profile that is not for {kind} is passed over")
    return None


def _by_lcms(picture: Image.Image, icc: bytes) -> npt.NDArray[np.uint8] | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        target = ImageCms.createProfile("sRGB")
        managed = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        managed = None
    if managed is None:
        doubts.warn("a broken colour profile is passed over")
        return None
    return np.asarray(managed)
