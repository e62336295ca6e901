"""Our codec against each other one picture by picture: a mean curve hides the pictures that fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from heliograph.measure.rate_distortion import Rows, by_picture
from heliograph.validate.tables import table

QUANTITIES = {"psnr": "PSNR over RGB", "psnr_y": "PSNR of luminance", "ssimulacra2": "SSIMULACRA2"}
HARDEST = "avif"  # whom the order of pictures is by, where it was measured
ALL = "all"
WORST_SHOWN = 8  # rows of the page's list; the others unfold


@dataclass(frozen=True)
class Spread:
    """BD-rates of the pictures of a class against one codec by one quantity; `better` counts those below 0."""

    of: str
    other: str
    quantity: str
    mean: float
    worst: float
    worst_picture: str
    better: int
    pictures: int


def class_of(name: str) -> str:
    """Return a picture's class, the folder that it lies in, "" for none."""
    parent = PurePosixPath(name).parent.as_posix()
    return "" if parent == "." else parent


def measure(
    series: dict[str, Rows], ours: str, others: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    """Return the BD-rates of single pictures by other codec and quantity.

    Returns:
        {other: {quantity: {"rates": of each picture, None where its curves have no overlap, "mean": their mean,
        "classes": {class: mean}}}}; without "mean" where there is none.
    """
    found: dict[str, Any] = {}
    for other in others:
        if other not in series:
            continue
        found[other] = {}
        for quantity in QUANTITIES:
            rates = by_picture(series[other], series[ours], quantity)
            entry: dict[str, Any] = {"rates": rates}
            if any(rate is not None for rate in rates):
                entry["mean"] = _mean(rates)
                classes = sorted({class_of(name) for name in names} - {""})
                of = {
                    c: _mean([r for r, n in zip(rates, names, strict=True) if class_of(n) == c])
                    for c in classes
                }
                entry["classes"] = {c: mean for c, mean in of.items() if mean is not None}
            found[other][quantity] = entry
    return found


def _mean(rates: Sequence[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return float(np.mean(known)) if known else None


def spreads(figures: dict[str, Any]) -> Iterator[Spread]:
    """Yield what was measured: of all pictures, then of each class, one for each other codec and quantity."""
    part = figures["rate_distortion"]
    names = [picture["name"] for picture in figures["pictures"]]
    classes = sorted({class_of(name) for name in names} - {""})
    for of in [ALL, *classes]:
        for other, entry in part["by_picture"].items():
            for quantity, measured in entry.items():
                pairs = zip(measured["rates"], names, strict=True)
                known = [(r, n) for r, n in pairs if r is not None and of in {ALL, class_of(n)}]
                if known:
                    worst, worst_picture = max(known)
                    mean = float(np.mean([rate for rate, _ in known]))
                    better = sum(rate < 0 for rate, _ in known)
                    label = part["labels"][other]
                    yield Spread(
                        of, label, QUANTITIES[quantity], mean, worst, worst_picture, better, len(known)
                    )


def order(figures: dict[str, Any]) -> tuple[str, str, list[int]]:
    """Return by which other codec and quantity pictures are told apart, and their numbers, the worst first.

    That is AVIF, or the first there is, and SSIMULACRA2 where it was measured. Those without a rate come last.
    """
    measured = figures.get("rate_distortion", {}).get("by_picture", {})
    for other in sorted(measured, key=lambda name: name != HARDEST):
        for quantity in ("ssimulacra2", "psnr"):
            rates = measured[other][quantity]["rates"]
            if any(rate is not None for rate in rates):
                key = [-np.inf if rate is None else rate for rate in rates]
                return other, quantity, sorted(range(len(rates)), key=lambda n: -key[n])
    return "", "", []


def _rate(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:+.1f} %"


def section(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the part of the page: means and worst of all and of each class, then the pictures, the worst first."""
    found = list(spreads(figures))
    if not found:
        return
    has_classes = any(one.of != ALL for one in found)
    rows = [
        [
            *([escape(one.of)] if has_classes else []),
            escape(one.other),
            one.quantity,
            _rate(one.mean),
            _rate(one.worst),
            escape(one.worst_picture),
            f"{one.better} of {one.pictures}",
        ]
        for one in found
    ]
    head = ["against", "by", "mean", "worst", "picture", "better on"]
    yield "<p>Picture by picture, BD-rate of each picture's own curves:</p>"
    if has_classes:
        yield table(["pictures", *head], rows, text=(0, 1, 2, 5))
    else:
        yield table(head, rows, text=(0, 1, 4))
    yield from _worst_first(figures)


def _worst_first(figures: dict[str, Any]) -> Iterator[str]:
    part = figures["rate_distortion"]
    names = [picture["name"] for picture in figures["pictures"]]
    other, quantity, numbers = order(figures)
    columns = [
        (o, q)
        for o, entry in part["by_picture"].items()
        for q in QUANTITIES
        if any(rate is not None for rate in entry[q]["rates"])
    ]
    head = ["picture", *(f"{part['labels'][o]}: {QUANTITIES[q]}" for o, q in columns)]
    rows = [
        [escape(names[n]), *(_rate(part["by_picture"][o][q]["rates"][n]) for o, q in columns)]
        for n in numbers
    ]
    yield f"<p>Pictures, the worst first, by {QUANTITIES[quantity]} against {escape(part['labels'][other])}:</p>"
    yield table(head, rows[:WORST_SHOWN])
    if rows[WORST_SHOWN:]:
        yield f"<details><summary>{len(rows) - WORST_SHOWN} more</summary>{table(head, rows[WORST_SHOWN:])}</details>"


def lines(figures: dict[str, Any]) -> list[str]:
    """Return the same as lines of text, without the single pictures."""
    out = []
    of = ALL
    for one in spreads(figures):
        out += ["", f"of {one.of}"] if one.of != of else []
        of = one.of
        out.append(
            f"{one.other:<32} {one.quantity:<18} mean {100 * one.mean:+6.1f} %, worst {100 * one.worst:+6.1f} % "
            f"({one.worst_picture}), better on {one.better} of {one.pictures}"
        )
    return ["", "picture by picture, BD-rate of each picture's own curves against", *out] if out else []
