"""The rate of a stream: a quality, or a budget of bytes or of bits per pixel; and bytes as people write them."""

from __future__ import annotations

import math
import numbers
import re
from dataclasses import dataclass
from fractions import Fraction

from heliograph.codec.levels import QUALITIES
from heliograph.errors import RateError

DEFAULT_QUALITY = 50.0
MOST_BYTES = 1 << 40  # more than any stream has
_BYTES = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)([kMG]?)B?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def byte_count(text: str) -> int:
    """Return a number of bytes as people write it: 4096, 8k, 1.5M, 2GB; k is 1000; RateError."""
    match = _BYTES.fullmatch(text)
    count = Fraction(match[1]) * _FACTORS[match[2].lower()] if match else Fraction(0)
    if count < 1 or count.denominator != 1:
        raise RateError(
            f"{text!r} is no number of bytes, expected 1 or more; give such as 4096, 8k, 1.5M or 2G"
        )
    return int(count)


@dataclass(frozen=True)
class Rate:
    """One of three: how good a picture shall be, or how many bytes or bits per pixel it may take.

    Attributes:
        quality: 0 (smallest) to 100 (finest), in eighths; 50 if nothing is given.
        max_bytes: of the whole stream, a whole number of at least 1, or a text for `byte_count`.
        bpp: bits per pixel of the whole stream, above 0.
        keep_scale: whether the picture is coded at its own size whatever the budget; else it is made smaller where
            that is better.

    Raises:
        RateError: more than one is given, or a value is none or out of range; it is a ValueError too.
    """

    quality: float | None = None
    max_bytes: int | str | None = None
    bpp: float | None = None
    keep_scale: bool = False

    def __post_init__(self) -> None:
        values = {"quality": self.quality, "max_bytes": self.max_bytes, "bpp": self.bpp}
        chosen = {name: value for name, value in values.items() if value is not None}
        if len(chosen) > 1:
            raise RateError(f"{' and '.join(chosen)} exclude each other; give one")
        if not chosen:
            object.__setattr__(self, "quality", DEFAULT_QUALITY)
            return
        if isinstance(self.max_bytes, str):
            object.__setattr__(self, "max_bytes", byte_count(self.max_bytes))
            return
        ((name, value),) = chosen.items()
        try:
            number = (
                float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
            )
        except OverflowError:  # of an integer
            number = math.inf
        if not math.isfinite(number):
            raise RateError(f"{name} is {repr(value)[:20]}, expected a number; give another")
        if name == "quality" and not 0 <= number <= QUALITIES - 1:
            raise RateError(f"quality is {number:g}, expected 0 to {QUALITIES - 1}; give another")
        if name == "bpp" and number <= 0:
            raise RateError(f"bpp is {number:g}, expected bits per pixel above 0; give another")
        if name == "max_bytes":
            if number < 1 or number != int(number):
                raise RateError(
                    f"max_bytes is {number:g}, expected a whole number of at least 1; give another"
                )
            object.__setattr__(self, "max_bytes", int(number))

    def budget(self, width: int, height: int) -> int | None:
        """Return the bytes that a picture of this size in pixels may take; None for a quality."""
        if self.bpp is not None:
            return int(min(max(1.0, self.bpp * width * height / 8), MOST_BYTES))
        return None if self.max_bytes is None else int(self.max_bytes)
