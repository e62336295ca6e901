"""Pieces of a report's page: numbers and tables as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any


def number(value: Any, form: str = ".2f") -> str:
    """Return a number as text, a dash where there is none."""
    return "–" if value is None else format(value, form)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[int] = ()) -> str:
    """Return an HTML table; cells are HTML already, columns in `text` are aligned to the left."""
    out = ["<table><thead><tr>", *(f"<th>{escape(h)}</th>" for h in head), "</tr></thead><tbody>"]
    for row in rows:
        cells = (f'<td class="text">{c}</td>' if n in text else f"<td>{c}</td>" for n, c in enumerate(row))
        out += ["<tr>", *cells, "</tr>"]
    out.append("</tbody></table>")
    return "".join(out)
