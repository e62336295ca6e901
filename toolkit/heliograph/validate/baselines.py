"""What others do with the same picture: JPEG, WebP and AVIF through Pillow, all bytes of the file counted."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[np.uint8]

# Pillow's options per baseline; JPEG is libjpeg-turbo with optimised Huffman tables and 4:2:0, the strong one.
OPTIONS: dict[str, dict[str, object]] = {
    "jpeg": {"format": "JPEG", "optimize": True, "subsampling": "4:2:0"},
    "webp": {"format": "WEBP", "method": 4},
    "avif": {"format": "AVIF", "speed": 6},
}
QUALITIES: dict[str, tuple[int, ...]] = {
    "jpeg": (3, 5, 8, 12, 18, 25, 35, 50, 65, 80, 90, 95),
    "webp": (0, 5, 15, 30, 45, 60, 75, 85, 92, 97),
    "avif": (10, 20, 30, 40, 50, 60, 70, 80, 90),
}


def encode(name: str, picture: Picture, quality: int) -> bytes:
    """Return the file of a picture uint8 [H, W, 3] in a baseline's format."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, quality=quality, **OPTIONS[name])  # type: ignore[arg-type]
    return buffer.getvalue()


def decode(data: bytes) -> Picture:
    """Return the picture in a file's bytes, uint8 [H, W, 3]."""
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def at_bytes(name: str, picture: Picture, budget: int) -> tuple[bytes, Picture] | None:
    """Return a baseline's best file of at most `budget` bytes and its picture; None where even the worst is larger."""
    low, high, best = 1, 100, b""
    while low <= high:
        middle = (low + high) // 2
        data = encode(name, picture, middle)
        if len(data) <= budget:
            best, low = data, middle + 1
        else:
            high = middle - 1
    return (best, decode(best)) if best else None


def jpeg_at_bytes(picture: Picture, budget: int) -> tuple[bytes, Picture] | None:
    """Return the best JPEG of at most `budget` bytes and its picture; see `at_bytes`."""
    return at_bytes("jpeg", picture, budget)
