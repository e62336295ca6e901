"""How many packets shall give each layer, so that the quality to be expected is greatest (priority encoding).

Albanese et al. 1996, Puri and Ramchandran 1999. A byte that k packets give costs each packet of the picture 1/k byte. Of the
stream's beginning each stretch has the k that makes likelihood times gain, less a price for these bytes, greatest; the price
is the one at which the packets are just full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from heliograph.packets.loss import Floats
from heliograph.packets.packet import WIDTHS
from heliograph.packets.plan import Layer, Plan

MOST = 6  # layers
Worth = Sequence[tuple[int, float]]  # bytes of a stream's beginning and the dB they give, both rising, from 0 bytes on
PLAN_BYTES = 3  # of the first layer that a layer more takes
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
        survival: float [n + 1], how likely it is that at least k of the n packets of a part arrive.
        carried: bytes of pieces in a packet.
        plan: of the stream; its layers do not count.
    """
    stretches = _Stretches(hull(worth), survival, plan.parts)
    best: Protection | None = None
    tried: set[tuple[Layer, ...]] = set()
    for price in _PRICES:
        layers = _fit(stretches.at(float(price)), carried, plan, len(survival) - 1)
        if layers is None or layers in tried:
            continue
        tried.add(layers)
        found = Plan(plan.size, plan.crc, layers, 0, plan.parts, plan.label)
        if not found.is_legal():
            continue
        value = expected(worth, survival, found)
        if best is None or value > best.expected:
            best = Protection(found, value)
    return best


def expected(worth: Worth, survival: Floats, plan: Plan) -> float:
    """Return the dB to be expected: of each layer its gain times how likely it is that enough packets arrive."""
    sizes, gains = zip(*sorted(worth), strict=True)
    ends = np.interp([end for _, end in plan.spans], sizes, gains)
    value = gains[0]
    for before, after, layer in zip([gains[0], *ends[:-1]], ends, plan.layers, strict=True):
        value += (after - before) * survival[layer.needed] ** plan.parts
    return float(value)


def _slope(a: tuple[int, float], b: tuple[int, float]) -> float:
    return (b[1] - a[1]) / max(b[0] - a[0], 1e-9)


class _Stretches:
    """Which stretches of a stream shall be layers, at a price for each byte of all packets."""

    def __init__(self, points: list[tuple[int, float]], survival: Floats, parts: int) -> None:
        self._points, self._parts = points, parts
        self._likely = survival[1:] ** parts
        self._share = 1 / np.arange(1, len(survival)) / parts

    def at(self, price: float) -> list[tuple[int, int]]:
        """Return bytes and packets needed of at most MOST stretches, neighbours joined where that loses the least."""
        known: dict[tuple[int, int], tuple[int, float]] = {}

        def best(start: int, end: int) -> tuple[int, float]:
            if (start, end) not in known:
                (a, low), (b, high) = self._points[start], self._points[end]
                value = self._likely * (high - low) - self._share * (price * (b - a))
                need = int(np.argmax(value))
                known[start, end] = need + 1, float(value[need])
            return known[start, end]

        edges = list(range(len(self._points)))
        while len(edges) > 2:
            triples = list(zip(edges, edges[1:], edges[2:], strict=False))
            lost = [best(a, b)[1] + best(b, c)[1] - best(a, c)[1] for a, b, c in triples]
            least = int(np.argmin(lost))
            if len(edges) - 1 <= MOST and lost[least] > price * PLAN_BYTES / best(0, edges[1])[0]:
                break
            del edges[least + 1]
        return [(self._points[b][0] - self._points[a][0], best(a, b)[0]) for a, b in pairwise(edges)]


def _fit(
    stretches: list[tuple[int, int]], carried: int, plan: Plan, count: int
) -> tuple[Layer, ...] | None:
    """Return layers whose pieces fill a packet; the last one takes what the others leave. None if that is too little."""
    stretches = [(size, need) for size, need in stretches if size]
    for number in range(len(stretches), 0, -1):  # a layer too narrow for a byte of each packet joins the next
        layers = _fit_so_many(stretches[:number], carried, plan, count)
        if layers is not None:
            return layers
    return None


def _fit_so_many(
    stretches: list[tuple[int, int]], carried: int, plan: Plan, count: int
) -> tuple[Layer, ...] | None:
    blank = [Layer(1, 1)] * len(stretches)
    head = len(Plan(plan.size, plan.crc, tuple(blank), 0, plan.parts, plan.label).to_bytes()) + len(stretches)
    if len(stretches) == 1:
        return _last([], carried, head, plan, count)
    layers: list[Layer] = []
    left = carried
    for number, (size, need) in enumerate(stretches[:-1]):
        size = -(-size // plan.parts) + (0 if number else head)
        width = max(round(size / need), 1)
        if not number:
            width = next((w for w in WIDTHS if w * need >= size), WIDTHS[-1])
            need = min(max(-(-size // width), 1), count)
        if width >= left:
            return None
        layers.append(Layer(max(need, layers[-1].needed if layers else 1), width))
        left -= width
    return _last(layers, left, head, plan, count)


def _last(
    layers: list[Layer], width: int, head: int, plan: Plan, count: int
) -> tuple[Layer, ...] | None:
    there = sum(layer.needed * layer.width for layer in layers) - head
    needed = max(-(-(-(-plan.size // plan.parts) - there) // width), layers[-1].needed if layers else 1)
    return (*layers, Layer(needed, width)) if needed <= count else None
