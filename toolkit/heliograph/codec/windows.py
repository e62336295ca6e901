"""Windows of the preview decoder: a latent map as overlapping fixed squares, and the picture from their outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from heliograph.codec.tiles import STRIDE, in_pixels, places

WINDOW = 20  # latents on a side of the preview decoder's input
MARGIN = 2  # latents on each side that are context only


def decode_windows(
    latents: npt.NDArray[np.int8],
    model: Callable[[npt.NDArray[np.int8]], npt.NDArray[np.int8]],
    width: int,
    height: int,
) -> npt.NDArray[np.uint8]:
    """Decode a latent map window by window, keeping of each only what has full context.

    Args:
        latents: int8 [h, w, C].
        model: int8 [WINDOW, WINDOW, C] to int8 [16*WINDOW, 16*WINDOW, 3], pixel value - 128.
        width: of the picture, in pixels.
        height: of the picture, in pixels.

    Returns:
        uint8 [height, width, 3].
    """
    rows, columns, _ = latents.shape
    inner = WINDOW - 2 * MARGIN
    down, right = -rows % inner, -columns % inner
    padded = np.pad(latents, ((MARGIN, MARGIN + down), (MARGIN, MARGIN + right), (0, 0)), mode="edge")
    out = np.empty((height, width, 3), np.uint8)
    cut = slice(MARGIN * STRIDE, (MARGIN + inner) * STRIDE)
    flat: npt.NDArray[np.int8] | None = None  # what a window of zeros becomes
    for place in places(rows, columns, inner):
        y, x = place[0].start, place[1].start
        window = np.ascontiguousarray(padded[y : y + WINDOW, x : x + WINDOW])
        is_flat = not window.any()
        output = flat if is_flat and flat is not None else model(window)
        if is_flat and flat is None:
            flat = output.copy()
        target = out[in_pixels(place)]
        target[:] = (output[cut, cut][: target.shape[0], : target.shape[1]].view(np.uint8)) ^ 0x80
    return out
