"""What black and white are in samples of more than 8 bits, as far as Pillow leaves that open."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.errors import PictureError

# Tags of a TIFF file, and their values.
_BITS, _PHOTOMETRIC, _PLANAR, _FORMAT = 258, 262, 284, 339
_WHITE_IS_ZERO, _PLANES, _SIGNED = 0, 2, 2


def check(picture: Image.Image) -> None:
    """Refuse samples of a picture that Pillow would take for others, before they are decoded.

    Raises:
        PictureError: signed samples, more than 16 bits, or planes that Pillow would mix up.
    """
    tags = getattr(picture, "tag_v2", {})
    bits = _bits(picture)
    if _SIGNED in tags.get(_FORMAT, ()):
        raise PictureError("signed samples have no defined black; save it with unsigned ones of 8 or 16 bits")
    if bits > 16 and picture.mode != "F":
        raise PictureError(f"samples of {bits} bits have no defined white; save it with 8 or 16 bits")
    is_plain = bits == 8 and tags.get(_PHOTOMETRIC) != _WHITE_IS_ZERO
    if tags.get(_PLANAR) == _PLANES and picture.info.get("compression") == "raw" and not is_plain:
        # Of such files Pillow reads bytes as samples, and forgets what white is.
        raise PictureError(
            f"planes of {bits} bits are not read; save it with samples side by side, or as PNG"
        )


def grey16(picture: Image.Image) -> npt.NDArray[np.uint16] | None:
    """Return the greys of a picture of more than 8 bits, uint16 [H, W, 1] from black 0 to white 65535; None of others.

    Raises:
        PictureError: values beyond 16 bits.
    """
    if not picture.mode.startswith("I"):
        return None
    bits = _bits(picture)
    grey = np.asarray(picture)  # [H, W]
    least, most = int(grey.min()), int(grey.max())
    white = (1 << bits) - 1 if bits > 8 else 65_535
    if least < 0 or most > white:
        raise PictureError(f"greys from {least} to {most}, expected 0 to {white}; save it with 16 bits")
    if white != 65_535:
        grey = (grey.astype(np.uint32) * 65_535 + white // 2) // white
    grey = grey.astype(np.uint16)
    is_white_zero = getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return (65_535 - grey if is_white_zero else grey)[..., None]


def _bits(picture: Image.Image) -> int:
    """Return the bits of a sample of a TIFF file; 8 of others."""
    return int(max(getattr(picture, "tag_v2", {}).get(_BITS, (8,))))
