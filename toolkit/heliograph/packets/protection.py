"""How many packets shall give each layer, so that the quality to be expected is greatest (priority encoding).

Albanese et al. 1996, Puri and Ramchandran 1999. A byte that k packets give costs each packet of the picture 1/k byte.
Each stretch of the stream has the k that makes likelihood times gain, less a price for these bytes, greatest; of all
prices the one is taken with which most can be expected of what fits the packets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from heliograph.packets.loss import Floats
from heliograph.packets.packet import WIDTHS
from heliograph.packets.plan import Layer, Plan

MOST = 6  # layers
Worth = Sequence[
    tuple[int, float]
]  # bytes of a stream's beginning and the dB they give, both rising, from 0 bytes on
PLAN_BYTES = 3  # of the first layer that a layer more takes
_STEPS = 8  # of layers changed a little, at most
_PRICES = np.geomspace(1e-3, 10, 50)  # dB for a byte of each packet


@dataclass(frozen=True)
class Protection:
    """A plan, and the dB to be expected with it."""

    plan: Plan
    expected: float


def hull(worth: Worth) -> list[tuple[int, float]]:
    """Return the points of the least concave curve above all: where a stretch may end."""
    out: list[tuple[int, float]] = []
    for size, gain in sorted(worth):
        while len(out) > 1 and _slope(out[-2], out[-1]) <= _slope(out[-1], (size, gain)):
            out.pop()
        if not out or (size > out[-1][0] and gain > out[-1][1]):
            out.append((size, gain))
    return out


def protect(worth: Worth, survival: Floats, carried: int, plan: Plan) -> Protection | None:
    """Return the plan with the best layers for a stream; None if it has no room in the packets.

    Args:
        worth: up to all of the stream.
        survival: float [n + 1], how likely it is that at least k of the n packets of each part arrive.
        carried: bytes of pieces in a packet.
        plan: of the stream; its layers do not count.
    """
    stretches, count = _Stretches(hull(worth), survival, plan.parts), len(survival) - 1
    best: Protection | None = None
    tried: set[tuple[Layer, ...]] = set()

    def look(layers: tuple[Layer, ...] | None) -> bool:
        """Take layers if more can be expected of them than of the best so far; return whether it is so."""
        nonlocal best
        if layers is None or layers in tried:
            return False
        tried.add(layers)
        found = Plan(plan.size, plan.crc, layers, 0, plan.parts, plan.label)
        if not found.is_legal():
            return False
        value = expected(worth, survival, found)
        if best is not None and value <= best.expected:
            return False
        best = Protection(found, value)
        return True

    for price in _PRICES:
        look(_fit(stretches.at(float(price)), carried, plan, count))
    for _ in range(_STEPS):  # what the rounding to whole bytes and packets lost
        if best is None:
            break
        near = list(_near(best.plan.layers, carried, plan, count))
        if sum(look(layers) for layers in near) == 0:
            break
    return best


def expected(worth: Worth, survival: Floats, plan: Plan) -> float:
    """Return the dB to be expected: of each layer its gain times how likely it is that enough packets arrive."""
    sizes, gains = zip(*sorted(worth), strict=True)
    ends = np.interp([end for _, end in plan.spans], sizes, gains)
    value = gains[0]
    for before, after, layer in zip([gains[0], *ends[:-1]], ends, plan.layers, strict=True):
        value += (after - before) * survival[layer.needed]
    return float(value)


def _slope(a: tuple[int, float], b: tuple[int, float]) -> float:
    return (b[1] - a[1]) / max(b[0] - a[0], 1e-9)


class _Stretches:
    """Which stretches of a stream shall be layers, at a price for each byte of all packets."""

    def __init__(self, points: list[tuple[int, float]], survival: Floats, parts: int) -> None:
        self._points = points
        self._pairs = list(combinations(range(len(points)), 2))
        self._gains = (
            np.array([points[b][1] - points[a][1] for a, b in self._pairs])[:, None] * (survival[1:])
        )
        self._costs = np.array([points[b][0] - points[a][0] for a, b in self._pairs])[:, None] / (
            np.arange(1, len(survival)) * parts
        )

    def at(self, price: float) -> list[tuple[int, int]]:
        """Return bytes and packets needed of at most MOST stretches, neighbours joined where that loses the least."""
        values = self._gains - price * self._costs
        needs = np.argmax(values, axis=1)
        best = values[np.arange(len(needs)), needs]
        known = {
            pair: (need, value)
            for pair, need, value in zip(self._pairs, (needs + 1).tolist(), best.tolist(), strict=True)
        }
        edges = list(range(len(self._points)))
        while len(edges) > 2:
            triples = list(zip(edges, edges[1:], edges[2:], strict=False))
            lost = [known[a, b][1] + known[b, c][1] - known[a, c][1] for a, b, c in triples]
            least = int(np.argmin(lost))
            if len(edges) - 1 <= MOST and lost[least] > price * PLAN_BYTES / known[0, edges[1]][0]:
                break
            del edges[least + 1]
        return [(self._points[b][0] - self._points[a][0], known[a, b][0]) for a, b in pairwise(edges)]


def _fit(stretches: list[tuple[int, int]], carried: int, plan: Plan, count: int) -> tuple[Layer, ...] | None:
    """Return layers whose pieces fill a packet, the last one with what the others leave; None if that is too little."""
    stretches = [(size, need) for size, need in stretches if size]
    for number in range(len(stretches), 0, -1):  # a layer too narrow for a byte of each packet joins the next
        layers = _fit_so_many(stretches[:number], carried, plan, count)
        if layers is not None:
            return layers
    return None


def _fit_so_many(
    stretches: list[tuple[int, int]], carried: int, plan: Plan, count: int
) -> tuple[Layer, ...] | None:
    layers: list[Layer] = []
    for number, (size, need) in enumerate(stretches[:-1]):
        size = -(-size // plan.parts) + (0 if number else _head(plan, len(stretches)))
        width = max(round(size / need), 1)
        if not number:
            width = next((w for w in WIDTHS if w * need >= size), WIDTHS[-1])
            need = min(max(-(-size // width), 1), count)
        layers.append(Layer(max(need, layers[-1].needed if layers else 1), width))
    return _filled(layers, carried, plan, count)


def _near(
    layers: tuple[Layer, ...], carried: int, plan: Plan, count: int
) -> Iterator[tuple[Layer, ...] | None]:
    """Yield layers that differ a little."""
    for number, layer in enumerate(layers[:-1]):
        at = WIDTHS.index(layer.width) if not number else 0
        widths = (
            WIDTHS[max(at - 1, 0) : at + 2] if not number else [layer.width + step for step in (-4, -1, 1, 4)]
        )
        changed = [Layer(layer.needed, width) for width in widths]
        changed += [Layer(layer.needed + step, layer.width) for step in (-1, 1)]
        for other in changed:
            yield _filled([*layers[:number], other, *layers[number + 1 : -1]], carried, plan, count)


def _filled(layers: list[Layer], carried: int, plan: Plan, count: int) -> tuple[Layer, ...] | None:
    """Return layers with a last one for what is left of packets and stream; None if that is too little."""
    left = carried - sum(layer.width for layer in layers)
    if left < 1:
        return None
    there = sum(layer.needed * layer.width for layer in layers) - _head(plan, len(layers) + 1)
    needed = max(-(-(-(-plan.size // plan.parts) - there) // left), layers[-1].needed if layers else 1)
    return (*layers, Layer(needed, left)) if needed <= count else None


def _head(plan: Plan, layers: int) -> int:
    """Return the bytes of a plan with so many layers, at most."""
    blank = Plan(plan.size, plan.crc, (Layer(1, 1),) * layers, 0, plan.parts, plan.label)
    return len(blank.to_bytes()) + max(layers - 2, 0)
