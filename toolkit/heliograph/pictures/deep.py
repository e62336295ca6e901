"""All 16 bits of colour samples, of which Pillow keeps the upper eight: a file is decoded once for each half."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.srgb import upright

# How Pillow unpacks samples of 16 bits, and its mode for them. Told the other order of bytes, it keeps the lower half.
_KINDS = {"RGB": "RGB", "RGBA": "RGBA", "RGBX": "RGB"}
_GREY_WITH_ALPHA = "LA;16B"  # of PNG; as four samples of 8 bits, nothing of it is lost
_OTHER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def samples(opened: Image.Image, open_again: Callable[[], Image.Image]) -> npt.NDArray[np.uint16] | None:
    """Return the samples of a picture of 16 bits and several channels, uint16 [H, W, 2 to 4], upright; None of others.

    Args:
        opened: the picture, nothing of it decoded yet; used only to see of which kind it is.
        open_again: opens its file anew.
    """
    used = way(opened)
    if not is_deep(opened):
        return None
    if used == _GREY_WITH_ALPHA:
        packed = _decoded(open_again(), "RGBA").astype(np.uint16)  # [H, W, 4]
        return (packed[..., ::2] << np.uint16(8)) | packed[..., 1::2]
    kind, _, order = used.partition(";16")
    found = _decoded(open_again(), used).astype(np.uint16) << np.uint16(8)
    found |= _decoded(open_again(), f"{kind};16{_OTHER[order]}")
    return found


def is_deep(picture: Image.Image) -> bool:
    """Return whether a picture that is not decoded yet has such samples."""
    kind, _, order = way(picture).partition(";16")
    return way(picture) == _GREY_WITH_ALPHA or (kind in _KINDS and order in _OTHER)


def way(picture: Image.Image) -> str:
    """Return how Pillow unpacks the samples of a picture that is not decoded yet."""
    tiles = getattr(picture, "tile", ())
    if not tiles:
        return ""
    arguments = tiles[0][3]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _decoded(picture: Image.Image, how: str) -> npt.NDArray[np.uint8]:
    for n, tile in enumerate(picture.tile):  # type: ignore[attr-defined]
        arguments = (how, *tile[3][1:]) if isinstance(tile[3], tuple) else how
        # A tuple in Pillow before 11.1, and since then one with names.
        changed = tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments)
        picture.tile[n] = changed  # type: ignore[attr-defined]
    return np.asarray(upright(picture))
