"""Parity: how far runtimes agree on a codec's latents, layer by layer where they part, and what that costs.

Int8 runtimes differ in how a convolution's sum is scaled back to 8 bits. Streams carry the integers of whichever
made them, so a difference changes what is sent and never how it is decoded; it costs what the rate–distortion of
the one is worse than that of the other, which is measured here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec.levels import from_quality
from heliograph.codec.pack import Packer
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import from_units
from heliograph.measure import metrics
from heliograph.measure.cache import Cache, picture_hash
from heliograph.measure.curves import Point, bd_rate
from heliograph.measure.rate_distortion import EQUAL_DB
from heliograph.measure.runner import Layers, Runner, Units
from heliograph.validate.subject import Subject

QUALITIES = (10, 30, 50, 70, 90)
Picture = npt.NDArray[np.uint8]
Advance = Callable[[], object]


def apart(first: npt.NDArray[np.int8], second: npt.NDArray[np.int8]) -> dict[str, float]:
    """Return the count of values, how many are equal and how many more than 1 apart, and the largest difference."""
    difference = np.abs(first.astype(np.int16) - second)
    return {
        "values": float(difference.size),
        "equal": float((difference == 0).sum()),
        "beyond_one": float((difference > 1).sum()),
        "largest": float(difference.max(initial=0)),
    }


def shares(counts: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return what `apart` counted on several pictures, as shares of all values."""
    values = sum(f["values"] for f in counts)
    return {
        "equal": sum(f["equal"] for f in counts) / values,
        "beyond_one": sum(f["beyond_one"] for f in counts) / values,
        "largest": max(f["largest"] for f in counts),
    }


def layers_apart(first: Layers, second: Layers) -> list[dict[str, Any]]:
    """Return by layer, in order of execution, how far two runs from the same picture have parted."""
    out = []
    for name, values in first.items():
        if name in second:
            difference = apart(values, second[name])
            out.append(
                {
                    "layer": name,
                    "shape": list(values.shape),
                    "equal": difference["equal"] / difference["values"],
                    "largest": difference["largest"],
                }
            )
    return out


def first_parting(layers: Sequence[dict[str, Any]]) -> str | None:
    """Return the first layer that is not equal everywhere, None if all are."""
    return next((str(entry["layer"]) for entry in layers if entry["equal"] < 1), None)


class Comparison:
    """Runners on the same pictures; what is known is not computed again."""

    def __init__(self, subject: Subject, pictures: Sequence[Picture], cache: Cache) -> None:
        self.subject, self.pictures, self.cache = subject, pictures, cache
        self._units: dict[tuple[str, int], Units] = {}

    def units(self, runner: Runner, number: int) -> Units:
        """Return what a runner's network gives of a picture, computed once."""
        place = runner.name, number
        if place not in self._units:
            self._units[place] = runner.units(self.pictures[number])
        return self._units[place]

    def agreement(self, first: Runner, second: Runner) -> dict[str, float]:
        """Return how far two runners agree over all pictures."""
        counts = []
        for number, picture in enumerate(self.pictures):
            facts = {"picture": picture_hash(picture), "runners": [first.identity, second.identity]}
            key = self.cache.key("agreement", {**facts, "codec": self.subject.codec.id.hex()})
            known = self.cache.get(key)
            if known is None:
                known = apart(self.units(first, number), self.units(second, number))
                self.cache.put(key, known)
            counts.append(known)
        return shares(counts)

    def curve(self, runner: Runner) -> list[Point]:
        """Return mean rate and PSNR of streams made of a runner's latents, by the first decoder."""
        subject, points = self.subject, []
        for quality in QUALITIES:
            rows = []
            for number, picture in enumerate(self.pictures):
                facts = {"picture": picture_hash(picture), "quality": quality, "runner": runner.identity}
                key = self.cache.key("parity", {**facts, **subject.facts()})
                row = self.cache.get(key)
                if row is None:
                    row = self._point(self.units(runner, number), picture, quality)
                    self.cache.put(key, row)
                rows.append(row)
            points.append(Point(*np.mean(rows, axis=0).tolist()))
        return points

    def _point(self, units: Units, picture: Picture, quality: int) -> list[float]:
        height, width = picture.shape[:2]
        latents = from_units(units, self.subject.codec.copies)
        data = Packer(self.subject.codec, latents, width, height).at(from_quality(quality))
        shown = self.subject.decode(decode_stream(data, self.subject.codec))
        return [8 * len(data) / (width * height), min(EQUAL_DB, metrics.psnr(picture, shown))]


def measure(
    subject: Subject,
    pictures: Sequence[Picture],
    runners: Sequence[Runner],
    *,
    cache: Cache,
    advance: Advance = lambda: None,
) -> dict[str, Any]:
    """Return the parity part of a report: each runner against the first.

    `bd_rate` is what a runner's streams cost more than the first's, None where curves have too few points.
    """
    first, *others = runners
    comparison = Comparison(subject, pictures, cache)
    reference = comparison.curve(first)
    advance()
    own: Layers | None = None
    out: dict[str, Any] = {
        "reference": first.name,
        "pictures": len(pictures),
        "runtimes": {},
        "unavailable": {},
    }
    for runner in others:
        try:
            entry: dict[str, Any] = {"note": runner.note, **comparison.agreement(first, runner)}
            entry["bd_rate"] = _cost(reference, comparison.curve(runner))
            if runner.layers is not None and first.layers is not None:
                facts = {"picture": picture_hash(pictures[0]), "runners": [first.identity, runner.identity]}
                key = cache.key("layers", {**facts, "codec": subject.codec.id.hex()})
                layers = cache.get(key)
                if layers is None:
                    own = own or first.layers(pictures[0])
                    layers = layers_apart(own, runner.layers(pictures[0]))
                    cache.put(key, layers)
                entry["layers"], entry["parts_at"] = layers, first_parting(layers)
            out["runtimes"][runner.name] = entry
        except runner.errors as error:
            out["unavailable"][runner.name] = str(error)
        advance()
    return out


def _cost(reference: list[Point], curve: list[Point]) -> float | None:
    try:
        return bd_rate(reference, curve)[0]
    except ValueError:
        return None
