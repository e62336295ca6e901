"""Quantities as people write them on a command line: durations, bytes, megapixels, counts."""

from __future__ import annotations

import argparse
import math
import re

from heliograph.codec import rate, tiles
from heliograph.errors import RateError

_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """Parse a duration, such as 10m, into seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"duration is {text!r}, expected such as 30s, 10m, 2h, or 0")
    return float(match[1]) * _SECONDS[match[2]]


def byte_count(text: str) -> int:
    """Parse a number of bytes, such as 8k or 100M."""
    try:
        return rate.byte_count(text)
    except RateError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def count(text: str) -> int:
    """Parse a whole number of at least 1."""
    return _whole(text, 1)


def seed(text: str) -> int:
    """Parse where randomness begins: a whole number, 0 or more."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or not least <= int(text) < 1 << 31:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not in range, expected a whole number of {least} or more"
        )
    return int(text)


def above_zero(text: str) -> float:
    """Parse a number above 0 that has an end."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not in range, expected a number above 0")
    return value


def megapixels(text: str) -> int:
    """Return pixels of a number of megapixels."""
    try:
        pixels = round(1e6 * float(text))
    except (ValueError, OverflowError):
        pixels = 0
    if not 1 <= pixels <= tiles.MAX_PIXELS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of megapixels, expected more than 0, at most {tiles.MAX_PIXELS / 1e6:.0f}"
        )
    return pixels
