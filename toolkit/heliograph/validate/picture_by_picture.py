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
    return {
        other: {
            quantity: _summed_up(by_picture(series[other], series[ours], quantity), names)
            for quantity in QUANTITIES
        }
        for other in others
        if other in series
    }


def _summed_up(rates: list[float | None], names: Sequence[str]) -> dict[str, Any]:
    """Return the entry of one codec and quantity that `measure` describes."""
    of = _known(rates, names)
    if not of:
        return {"rates": rates}
    means = {name: float(np.mean([rate for rate, _ in known])) for name, known in of.items()}
    return {"rates": rates, "mean": means.pop(""), "classes": means}


def _known(rates: Sequence[float | None], names: Sequence[str]) -> dict[str, list[tuple[float, str]]]:
    """Return the rates that there are with their pictures' names: of all, "", then of each class that has any."""
    known = [(rate, name) for rate, name in zip(rates, names, strict=True) if rate is not None]
    classes = sorted({class_of(name) for _, name in known} - {""})
    of = {c: [pair for pair in known if class_of(pair[1]) == c] for c in classes}
    return {"": known} | of if known else {}


def _is_measured(rates: Sequence[float | None]) -> bool:
    return any(rate is not None for rate in rates)


def spreads(figures: dict[str, Any]) -> Iterator[Spread]:
    """Yield what was measured: of all pictures, then of each class, one for each other codec and quantity."""
    part = figures["rate_distortion"]
    names = [picture["name"] for picture in figures["pictures"]]
    entries = [
        (part["labels"][other], QUANTITIES[quantity], measured, _known(measured["rates"], names))
        for other, entry in part["by_picture"].items()
        for quantity, measured in entry.items()
    ]
    for of in sorted({"", *map(class_of, names)}):
        for label, quantity, measured, known in entries:
            if of in known:
                mean = measured["classes"][of] if of else measured["mean"]
                worst, worst_picture = max(known[of])
                better = sum(rate < 0 for rate, _ in known[of])
                yield Spread(of or ALL, label, quantity, mean, worst, worst_picture, better, len(known[of]))


def order(figures: dict[str, Any]) -> tuple[str, str, list[int]]:
    """Return by which other codec and quantity pictures are told apart, and their numbers, the worst first.

    That is AVIF, or the first there is, and SSIMULACRA2 where it was measured. Those without a rate come last.
    """
    measured = figures.get("rate_distortion", {}).get("by_picture", {})
    for other in sorted(measured, key=lambda name: name != HARDEST):
        for quantity in ("ssimulacra2", "psnr"):
            rates = measured[other][quantity]["rates"]
            if _is_measured(rates):
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
        if _is_measured(entry[q]["rates"])
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
