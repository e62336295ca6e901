"""Our codec against each other one picture by picture: a mean curve hides the pictures that fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from heliograph.measure.rate_distortion import Rows, by_picture
from heliograph.validate.tables import table

QUANTITIES = {"psnr": "PSNR over RGB", "psnr_y": "PSNR of luminance", "ssimulacra2": "SSIMULACRA2"}


@dataclass(frozen=True)
class Spread:
    """BD-rates of pictures against one codec by one quantity; `better` counts those below 0."""

    other: str
    quantity: str
    mean: float
    worst: float
    worst_picture: str
    better: int
    pictures: int


def measure(series: dict[str, Rows], ours: str, others: Sequence[str]) -> dict[str, Any]:
    """Return by other codec and quantity the BD-rate of each picture, None where its curves have no overlap."""
    return {
        name: {quantity: by_picture(series[name], series[ours], quantity) for quantity in QUANTITIES}
        for name in others
        if name in series
    }


def spreads(figures: dict[str, Any]) -> Iterator[Spread]:
    """Yield what was measured, one for each other codec and quantity that there is."""
    part = figures["rate_distortion"]
    names = [picture["name"] for picture in figures["pictures"]]
    for other, entry in part["by_picture"].items():
        for quantity, rates in entry.items():
            known = [(rate, name) for rate, name in zip(rates, names, strict=True) if rate is not None]
            if known:
                worst, worst_picture = max(known)
                mean = float(np.mean([rate for rate, _ in known]))
                better = sum(rate < 0 for rate, _ in known)
                yield Spread(
                    part["labels"][other],
                    QUANTITIES[quantity],
                    mean,
                    worst,
                    worst_picture,
                    better,
                    len(known),
                )


def section(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the part of the page."""
    rows = [
        [
            escape(one.other),
            one.quantity,
            f"{100 * one.mean:+.1f} %",
            f"{100 * one.worst:+.1f} %",
            escape(one.worst_picture),
            f"{one.better} of {one.pictures}",
        ]
        for one in spreads(figures)
    ]
    if rows:
        yield "<p>Picture by picture, BD-rate of each picture's own curves:</p>"
        yield table(["against", "by", "mean", "worst", "picture", "better on"], rows, text=(0, 1, 4))


def lines(figures: dict[str, Any]) -> list[str]:
    """Return the same as lines of text."""
    out = [
        f"{one.other:<32} {one.quantity:<18} mean {100 * one.mean:+6.1f} %, worst {100 * one.worst:+6.1f} % "
        f"({one.worst_picture}), better on {one.better} of {one.pictures}"
        for one in spreads(figures)
    ]
    return ["", "picture by picture, BD-rate of each picture's own curves against", *out] if out else []
