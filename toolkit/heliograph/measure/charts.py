"""Charts as SVG text: curves with axes, ticks and a legend; no library, so that a report needs none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 820, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 290, 34, 52
# Okabe and Ito's colours, told apart by colour-blind readers too; the dashes do so in print.
_COLOURS = ("#d55e00", "#e69f00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#000000", "#777777")
_DASHES = ("", "6 3", "", "2 3", "8 3 2 3", "4 2", "1 3", "10 4")


@dataclass(frozen=True)
class Series:
    """A curve: `name` for programs, `label` for people, and its points (x, y)."""

    name: str
    label: str
    points: Sequence[tuple[float, float]]


def _ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Return round numbers that cover a range in about `count` steps."""
    span = max(high - low, 1e-12)
    step = 10 ** math.floor(math.log10(span / count))
    step *= next(m for m in (1, 2, 5, 10) if span / (step * m) <= count)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**d for d in decades for m in (1, 2, 5)]
    return [t for t in ticks if low * 0.999 <= t <= high * 1.001]


def lines(
    series: Sequence[Series], *, title: str, x_label: str, y_label: str, logarithmic: bool = True
) -> str:
    """Return a chart of curves as an <svg> element; each is a <polyline> with data-series and its points' titles.

    Args:
        logarithmic: the x axis; its values must then be above zero.
    """
    shown = [s for s in series if s.points]
    xs = [x for s in shown for x, _ in s.points] or [0.1, 1.0]
    ys = [y for s in shown for _, y in s.points] or [0.0, 1.0]
    (x0, x1), (y0, y1) = _range(xs, logarithmic), _range(ys, False)
    inner_width, inner_height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def px(x: float) -> float:
        part = math.log(x / x0) / math.log(x1 / x0) if logarithmic else (x - x0) / (x1 - x0)
        return _LEFT + inner_width * part

    def py(y: float) -> float:
        return _TOP + inner_height * (1 - (y - y0) / (y1 - y0))

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14" font-weight="600">{escape(title)}</text>',
    ]
    for x in _log_ticks(x0, x1) if logarithmic else _ticks(x0, x1):
        out.append(
            f'<path d="M{px(x):.1f} {_TOP}V{HEIGHT - _BOTTOM}" stroke="#dddddd"/>'
            f'<text x="{px(x):.1f}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle">{x:g}</text>'
        )
    for y in _ticks(y0, y1):
        out.append(
            f'<path d="M{_LEFT} {py(y):.1f}H{WIDTH - _RIGHT}" stroke="#dddddd"/>'
            f'<text x="{_LEFT - 6}" y="{py(y) + 4:.1f}" text-anchor="end">{y:g}</text>'
        )
    middle = _LEFT + inner_width / 2
    out.append(f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x_label)}</text>')
    out.append(
        f'<text transform="translate(16 {_TOP + inner_height / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    for number, curve in enumerate(shown):
        out += _curve(curve, number, [(px(x), py(y)) for x, y in curve.points])
    out.append("</svg>")
    return "\n".join(out)


def _range(values: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if logarithmic:
        return low / 1.1, high * 1.1
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _curve(curve: Series, number: int, places: Sequence[tuple[float, float]]) -> list[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    dash = _DASHES[number % len(_DASHES)]
    style = f'stroke="{colour}" stroke-width="{2.4 if number == 0 else 1.6}"'
    style += f' stroke-dasharray="{dash}"' if dash else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    y = _TOP + 8 + 20 * number
    left = WIDTH - _RIGHT + 12
    out = [f'<polyline data-series="{escape(curve.name)}" points="{path}" fill="none" {style}/>']
    for (cx, cy), (x, value) in zip(places, curve.points, strict=True):
        out.append(
            f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="2.6" fill="{colour}">'
            f"<title>{escape(curve.label)}: {x:.4g}, {value:.4g}</title></circle>"
        )
    out.append(f'<path d="M{left} {y}h26" fill="none" {style}/>')
    out.append(f'<text x="{left + 32}" y="{y + 4}">{escape(curve.label)}</text>')
    return out
