"""What others do with the same picture: JPEG, WebP, JPEG 2000 and AVIF through Pillow, all bytes of a file counted."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, features

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Baseline:
    """A format: its name for people, Pillow's options, and the settings measured, from small to fine."""

    label: str
    options: dict[str, object]
    qualities: tuple[int, ...]
    library: str  # Pillow's name of it, for its version
    at: Callable[[int], dict[str, object]] = lambda quality: {"quality": quality}
    finest: int = 100

    @property
    def version(self) -> str:
        """The library that does the work and its version."""
        if self.library == "jpg" and features.version("libjpeg_turbo"):
            return f"libjpeg-turbo {features.version('libjpeg_turbo')}"
        return f"{self.library} {features.version(self.library)}"

    @property
    def installed(self) -> bool:
        """Whether this Pillow has the format."""
        return bool(features.check(self.library))


BASELINES: dict[str, Baseline] = {
    # libjpeg-turbo with optimised Huffman tables and 4:2:0, the strong JPEG.
    "jpeg": Baseline(
        "JPEG, optimised",
        {"format": "JPEG", "optimize": True, "subsampling": "4:2:0"},
        (3, 5, 8, 12, 18, 25, 35, 50, 65, 80, 90, 95),
        "jpg",
    ),
    "webp": Baseline(
        "WebP, method 4",
        {"format": "WEBP", "method": 4},
        (0, 5, 15, 30, 45, 60, 75, 85, 92, 97),
        "webp",
    ),
    # Without mct Pillow leaves red, green and blue correlated, and JPEG wins. A setting is 1/100 bit per pixel.
    "jpeg2000": Baseline(
        "JPEG 2000, mct=1",
        {"format": "JPEG2000", "mct": 1, "irreversible": True, "no_jp2": True, "quality_mode": "rates"},
        (6, 10, 15, 22, 32, 48, 70, 100, 150, 220),
        "jpg_2000",
        lambda quality: {"quality_layers": [2400 / quality]},
        finest=1200,
    ),
    # Pillow's AVIF gives PSNR away for looks (tune=iq of libaom); so it is measured as tuned for PSNR too.
    "avif": Baseline(
        "AVIF, speed 6",
        {"format": "AVIF", "speed": 6},
        (10, 20, 30, 40, 50, 60, 70, 80, 90),
        "avif",
    ),
    "avif-psnr": Baseline(
        "AVIF, speed 6, tuned for PSNR",
        {"format": "AVIF", "speed": 6, "advanced": {"tune": "psnr"}},
        (10, 20, 30, 40, 50, 60, 70, 80, 90),
        "avif",
    ),
}
# JPEG as it is saved by default has the same pixels and the standard Huffman tables; counted without the tables of
# all pictures but one it is a bound: tables fitted to each picture, as if sent once.
JPEG_DEFAULT = {"format": "JPEG", "subsampling": "4:2:0"}
JPEG_VARIANTS = {"jpeg-default": "JPEG, default", "jpeg-tables-once": "JPEG, optimised, tables counted once"}
_TABLES = (0xDB, 0xC4)  # segments DQT and DHT


def _save(picture: Picture, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def encode(name: str, picture: Picture, quality: int) -> bytes:
    """Return the file of a picture uint8 [H, W, 3] in a baseline's format."""
    baseline = BASELINES[name]
    return _save(picture, baseline.options | baseline.at(quality))


def encode_default_jpeg(picture: Picture, quality: int) -> bytes:
    """Return the JPEG file with standard Huffman tables; its pixels are those of `encode("jpeg", ...)`."""
    return _save(picture, {**JPEG_DEFAULT, "quality": quality})


def decode(data: bytes) -> Picture:
    """Return the picture in a file's bytes, uint8 [H, W, 3]."""
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def jpeg_table_bytes(data: bytes) -> int:
    """Return the bytes of a JPEG file's quantisation and Huffman tables, markers and lengths included."""
    at, total = 2, 0
    while at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:  # start of scan: a baseline file has no tables after it
            break
        if marker in _TABLES:
            total += 2 + length
        at += 2 + length
    return total


def quality_at_bytes(name: str, picture: Picture, budget: int) -> int:
    """Return a baseline's finest quality of at most `budget` bytes, or 1, the coarsest."""
    low, high = 1, BASELINES[name].finest
    while low < high:
        middle = (low + high + 1) // 2
        if len(encode(name, picture, middle)) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def at_bytes(name: str, picture: Picture, budget: int) -> tuple[bytes, Picture] | None:
    """Return a baseline's best file of at most `budget` bytes and its picture; None where even the worst is larger."""
    best = encode(name, picture, quality_at_bytes(name, picture, budget))
    return (best, decode(best)) if len(best) <= budget else None


def jpeg_at_bytes(picture: Picture, budget: int) -> tuple[bytes, Picture] | None:
    """Return the best JPEG of at most `budget` bytes and its picture; see `at_bytes`."""
    return at_bytes("jpeg", picture, budget)
