"""The report as one HTML page that needs no network: tables, curves, a slider at equal bytes, maps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from heliograph.measure import charts
from heliograph.validate import page_checks, picture_by_picture, site_tables, thin_link_tables
from heliograph.validate.gallery import Panel, Sheet
from heliograph.validate.harness import Report
from heliograph.validate.tables import number, table

CURVES = (
    ("psnr", "PSNR over RGB, dB"),
    ("psnr_y", "PSNR of luminance, dB"),
    ("ms_ssim", "MS-SSIM, dB (-10 log10(1 - x))"),
    ("ssimulacra2", "SSIMULACRA2"),
)


def curve_chart(part: dict[str, Any], quantity: str, label: str, title: str) -> str | None:
    """Return the chart of a quantity as SVG, None where nothing has it."""
    series = []
    for name, curve in part["curves"].items():
        points = []
        for row in curve.values():
            value = row.get(quantity)
            if value is not None:
                if quantity == "ms_ssim":
                    value = -10 * math.log10(max(1 - value, 1e-10))
                points.append((row["bpp"], value))
        series.append(charts.Series(name, part["labels"][name], sorted(points)))
    if not any(s.points for s in series):
        return None
    return charts.lines(series, title=title, x_label="bits per pixel, whole files", y_label=label)


def chart_title(figures: dict[str, Any]) -> str:
    """Return what the curves were measured on."""
    count = len(figures["pictures"])
    return f"{figures['codec']['name']}: means over {count} picture{'s' if count > 1 else ''}"


def _difference(difference: dict[str, Any]) -> list[str]:
    if "reason" in difference or not difference:
        return ["–", "–", "–", f'<span class="note">{escape(difference.get("reason", ""))}</span>']
    rates = (
        ""
        if difference["from_bpp"] is None
        else f"{difference['from_bpp']:.2f} to {difference['to_bpp']:.2f} bits per pixel"
    )
    return [
        f"{100 * difference['bd_rate']:+.1f} %",
        f"{difference['from_db']:.1f} to {difference['to_db']:.1f} dB",
        number(difference["bd_psnr"], "+.2f") + " dB",
        rates,
    ]


def _curves(figures: dict[str, Any]) -> Iterator[str]:
    part = figures.get("rate_distortion")
    if part is None:
        return
    yield '<h2 id="curves">Rate–distortion</h2>'
    yield from picture_by_picture.section(figures)
    yield (
        "<p>All bytes of whole files. Bjøntegaard differences of mean curves against JPEG with optimised Huffman "
        "tables, 4:2:0, over the range both have. JPEG with its tables counted once is a bound that no sender "
        "reaches: tables fitted to each picture, counted for one.</p>"
    )
    rows = []
    for name, entry in part["differences"].items():
        each = [v for v in entry["psnr_by_picture"] if v is not None]
        spread = f"{100 * min(each):+.0f} to {100 * max(each):+.0f} %" if each else "–"
        rows.append([escape(part["labels"][name]), *_difference(entry.get("psnr", {})), spread])
    if rows:
        head = ["PSNR over RGB", "BD-rate", "over", "BD-PSNR", "over", "BD-rate by picture"]
        yield table(head, rows)
        others = [(q, t) for q, t in CURVES[1:] if any(q in d for d in part["differences"].values())]
        rows = [
            [escape(part["labels"][n]), *(_difference(d.get(q, {}))[0] for q, _ in others)]
            for n, d in part["differences"].items()
        ]
        yield table(["BD-rate by", *(t.split(",")[0] for _, t in others)], rows)
    for quantity, label in CURVES:
        drawn = curve_chart(part, quantity, label, chart_title(figures))
        if drawn:
            yield f'<figure class="chart" data-quantity="{quantity}">{drawn}</figure>'
    yield "<details><summary>All mean figures</summary>"
    for name, curve in part["curves"].items():
        yield f"<h3>{escape(part['labels'][name])}</h3>"
        rows = [
            [
                quality,
                number(r["bytes"], ".0f"),
                number(r["bpp"], ".3f"),
                number(r["psnr"]),
                number(r["psnr_y"]),
                number(r["ms_ssim"], ".4f"),
                number(r.get("ssimulacra2"), ".1f"),
                number(1000 * r["encode_s"], ".1f"),
                number(1000 * r["decode_s"] if "decode_s" in r else None, ".1f"),
            ]
            for quality, r in curve.items()
        ]
        head = [
            "setting",
            "bytes",
            "bpp",
            "PSNR",
            "PSNR-Y",
            "MS-SSIM",
            "SSIMULACRA2",
            "encode ms",
            "decode ms",
        ]
        yield table(head, rows)
    yield "</details>"


def _gallery(sheets: list[Sheet]) -> Iterator[str]:
    if not sheets:
        return
    yield '<h2 id="pictures">Side by side at equal bytes</h2>'
    yield (
        '<div class="controls"><label>picture <select id="sheet"></select></label>'
        '<label>left <select id="left"></select></label><label>right <select id="right"></select></label></div>'
        '<div id="compared"><div class="slider" id="slider"><img id="under" alt=""><img id="over" class="over" alt="">'
        '<div class="edge" id="edge"></div></div>'
        '<input type="range" id="place" min="0" max="100" value="50" aria-label="border between left and right">'
        '<div class="captions"><span id="left-caption"></span><span id="right-caption"></span></div></div>'
        '<h2 id="why">What the stream says</h2><div class="maps" id="maps"></div>'
    )

    files: dict[str, int] = {}  # the original is in the sheets of several qualities

    def panel(p: Panel) -> dict[str, str | int]:
        source = f"data:{p.mime};base64,{p.base64}"
        file = files.setdefault(source, len(files))
        return {"name": p.name, "label": p.label, "caption": p.caption, "file": file}

    sheets_content = [
        {
            "title": s.title,
            "width": s.width,
            "panels": [panel(p) for p in s.panels],
            "maps": [panel(p) for p in s.maps],
        }
        for s in sheets
    ]
    content = {"sheets": sheets_content, "files": list(files)}
    # No "</script>" or "<!--" may end the element early.
    text = json.dumps(content).replace("<", "\\u003c")
    yield f'<script type="application/json" id="sheets">{text}</script>'


def _environment(figures: dict[str, Any]) -> Iterator[str]:
    yield '<h2 id="environment">How it was measured</h2>'
    if figures["command"]:
        yield f"<p><code>{escape(figures['command'])}</code></p>"
    codec = figures["codec"]
    rows = [[escape(k.replace("_", " ")), escape(str(v))] for k, v in codec.items() if k != "files"]
    rows += [[escape(f), f"SHA-256 {escape(h)}"] for f, h in codec["files"].items()]
    rows += [[escape(k), escape(v)] for k, v in figures["environment"].items()]
    libraries = figures.get("rate_distortion", {}).get("libraries", {})
    libraries = libraries | figures.get("sites", {}).get("libraries", {})
    libraries = libraries | figures.get("thin_links", {}).get("small", {}).get("libraries", {})
    rows += [[escape(k), escape(v)] for k, v in libraries.items()]
    rows += [[f"seconds, {escape(k)}", number(v, ".1f")] for k, v in figures["seconds"].items()]
    cache = figures["cache"]
    rows.append(["measurements from the cache", f"{cache['hits']} of {cache['hits'] + cache['misses']}"])
    yield table(["", ""], rows, text=(1,))


def render(report: Report) -> str:
    """Return the page."""
    figures, here = report.figures, Path(__file__).parent
    codec = figures["codec"]
    parts = [
        *page_checks.verdict(figures),
        *_curves(figures),
        *site_tables.section(figures),
        *thin_link_tables.section(figures),
        *_gallery(report.sheets),
        *page_checks.robustness(figures),
        *page_checks.parity(figures),
        *page_checks.streams(figures),
        *_environment(figures),
    ]
    title = f"Validation of {codec['name']} {codec['id']}"
    style = (here / "page.css").read_text(encoding="utf-8")
    script = (here / "page.js").read_text(encoding="utf-8")
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<style>{style}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *parts,
            f"<script>{script}</script>",
            "</body></html>",
            "",
        ]
    )
