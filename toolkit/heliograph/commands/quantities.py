"""Quantities as people write them on a command line: durations, bytes, megapixels."""

from __future__ import annotations

import argparse
import re

from heliograph.codec import tiles

_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


def duration(text: str) -> float:
    """Parse a duration, such as 10m, into seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"duration is {text!r}, expected such as 30s, 10m, 2h, or 0")
    return float(match[1]) * _SECONDS[match[2]]


def byte_count(text: str) -> int:
    """Parse a number of bytes, such as 100M."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", text)
    if match is None or not (count := int(float(match[1]) * _BYTES[match[2]])):
        raise argparse.ArgumentTypeError(f"size is {text!r}, expected such as 500k, 100M, 2G")
    return count


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
