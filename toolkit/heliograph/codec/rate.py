"""The rate of a stream: a quality, or a budget of bytes or of bits per pixel."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass

from heliograph.codec.quantise import QUALITIES
from heliograph.errors import RateError

DEFAULT_QUALITY = 50.0


@dataclass(frozen=True)
class Rate:
    """One of three: how good a picture shall be, or how many bytes or bits per pixel it may take.

    Attributes:
        quality: 0 (smallest) to 100 (finest), in eighths; 50 if nothing is given.
        max_bytes: of the whole stream, a whole number of at least 1.
        bpp: bits per pixel of the whole stream, above 0.

    Raises:
        RateError: more than one is given, or a value is none or out of range; it is a ValueError too.
    """

    quality: float | None = None
    max_bytes: int | None = None
    bpp: float | None = None

    def __post_init__(self) -> None:
        values = {"quality": self.quality, "max_bytes": self.max_bytes, "bpp": self.bpp}
        chosen = {name: value for name, value in values.items() if value is not None}
        if len(chosen) > 1:
            raise RateError(f"{' and '.join(chosen)} exclude each other; give one")
        if not chosen:
            object.__setattr__(self, "quality", DEFAULT_QUALITY)
            return
        ((name, value),) = chosen.items()
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not math.isfinite(value):
            raise RateError(f"{name} is {value!r}, expected a number")
        if name == "quality" and not 0 <= value <= QUALITIES - 1:
            raise RateError(f"quality is {value:g}, expected 0 to {QUALITIES - 1}")
        if name == "bpp" and value <= 0:
            raise RateError(f"bpp is {value:g}, expected bits per pixel above 0")
        if name == "max_bytes":
            if value < 1 or value != int(value):
                raise RateError(f"max_bytes is {value:g}, expected a whole number of at least 1")
            object.__setattr__(self, "max_bytes", int(value))

    def budget(self, width: int, height: int) -> int | None:
        """Return the bytes that a picture of this size in pixels may take; None for a quality."""
        if self.bpp is not None:
            return max(1, int(self.bpp * width * height / 8))
        return self.max_bytes
