"""From the pixels a decoder made to the picture's own size, where the encoder made it smaller."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.codec.stream import Decoded


def to_own_size(decoded: Decoded, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the picture uint8 [height, width, 3] of pixels that a decoder made, uint8 [h, w, 3], by Lanczos.

    What they have beyond the coded size is cut off.
    """
    width, height = decoded.coded_size
    pixels = pixels[:height, :width]
    if decoded.scale == 0:
        return pixels
    size = decoded.width, decoded.height
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
