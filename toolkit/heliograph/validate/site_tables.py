"""What a report says of site memory: tables and charts for its page, lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from heliograph.measure import charts
from heliograph.validate.sites import ALONE, LABELS, MEMORY, OTHERS, STILLS
from heliograph.validate.tables import number, table

ANCHORS = (ALONE, *OTHERS)


def percent(difference: dict[str, Any] | None) -> str:
    """Return a BD-rate as text, a dash where there is none."""
    rate = (difference or {}).get("bd_rate")
    return "–" if rate is None else f"{100 * rate:+.1f} %"


def section(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the part of the page."""
    part = figures.get("sites")
    if part is None:
        return
    how = part["settings"]
    yield '<h2 id="sites">Site memory</h2>'
    yield (
        "<p>Pictures of fixed cameras, each coded when the receiver has confirmed those before. Bjøntegaard differences"
        f" of PSNR over RGB, {escape(how['decoder'])} decoder, means over a sequence: what pictures with memory take "
        "against the others at equal PSNR, all bytes of all files. x265 and SVT-AV1 are given all pictures at once, "
        "later ones too, which no camera has, but for x265 without look ahead; the last column is what x265 itself "
        "gains by them over x265 intra. "
        f"At most {how['max_depth']} pictures deep, the last {how['keep']} may be referred to.</p>"
    )
    rows = [
        [
            escape(name),
            f"{site['pictures']} of {site['width']}x{site['height']}",
            *(percent(site["differences"].get(other)) for other in ANCHORS),
            percent(site.get("video")),
        ]
        for name, site in part["sequences"].items()
    ]
    yield table(
        ["sequence", "pictures", *(escape(LABELS[other]) for other in ANCHORS), "x265 against intra"], rows
    )
    for name, why in part["missing"].items():
        yield f'<p class="note">{escape(LABELS[name])} was not measured: {escape(why)}</p>'
    rows = []
    for name, site in part["sequences"].items():
        for quality, saved in site["saved"].items():
            ours, alone = (site["curves"][of][quality] for of in (MEMORY, ALONE))
            rows.append(
                [
                    escape(name),
                    quality,
                    number(alone["bytes"], ".0f"),
                    number(ours["bytes"], ".0f"),
                    f"{-100 * saved:+.1f} %",
                    number(alone["psnr"]),
                    number(ours["psnr"]),
                    f"{site['independent'][quality]:.0%}",
                    number(site["depth"][quality], ".1f"),
                    number(site["back"][quality], ".2f"),
                ]
            )
    head = ["sequence", "quality", "bytes alone", "with memory", "", "dB alone", "with memory"]
    yield "<h3>At equal quality numbers, means over pictures</h3>"
    yield table([*head, "refer to none", "depth", "pictures back"], rows)
    for name, site in part["sequences"].items():
        yield f'<figure class="chart" data-sequence="{escape(name)}">{chart(name, site)}</figure>'


def chart(name: str, site: dict[str, Any]) -> str:
    """Return the bytes of each picture over time at the middle quality as SVG; stills at no less PSNR beside them."""
    qualities = list(site["saved"])
    middle = qualities[len(qualities) // 2]
    shown = [(MEMORY, middle, LABELS[MEMORY]), (ALONE, middle, LABELS[ALONE])]
    if STILLS in site["curves"]:
        wanted = site["curves"][MEMORY][middle]["psnr"]
        setting, row = min(
            site["curves"][STILLS].items(),
            key=lambda one: (one[1]["psnr"] < wanted, abs(one[1]["psnr"] - wanted)),
        )
        shown.append((STILLS, setting, f"{LABELS[STILLS]}, {row['psnr']:.1f} dB"))
    series = [
        charts.Series(of, label, [(n, row["bytes"]) for n, row in enumerate(site["rows"][of][setting], 1)])
        for of, setting, label in shown
    ]
    title = f"{name}: quality {middle}, {site['curves'][MEMORY][middle]['psnr']:.1f} dB"
    return charts.lines(series, title=title, x_label="picture", y_label="bytes", logarithmic=False)


def lines(part: dict[str, Any]) -> list[str]:
    """Return the main figures as lines of text."""
    out = ["", "site memory: bytes against those without, by quality"]
    width = max(map(len, part["sequences"]))
    out.append(" " * width + "".join(f"{q:>9}" for q in part["settings"]["qualities"]))
    for name, site in part["sequences"].items():
        out.append(
            f"{name:<{width}}" + "".join(f"{-100 * saved:+7.1f} %" for saved in site["saved"].values())
        )
    out.append("share of pictures that refer to none, mean depth")
    for name, site in part["sequences"].items():
        both = zip(site["independent"].values(), site["depth"].values(), strict=True)
        out.append(f"{name:<{width}}" + "".join(f"{alone:5.0%}{depth:4.1f}" for alone, depth in both))
    out.append("BD-rate of pictures with memory against")
    for other in ANCHORS:
        if any(other in site["differences"] for site in part["sequences"].values()):
            out.append(f"  {LABELS[other]}")
            for name, site in part["sequences"].items():
                found = site["differences"].get(other, {})
                out.append(f"    {name:<{width}} {percent(found):>9} {found.get('reason', '')}".rstrip())
    if any("video" in site for site in part["sequences"].values()):
        out.append("  (x265 against x265 intra)")
        for name, site in part["sequences"].items():
            out.append(f"    {name:<{width}} {percent(site.get('video')):>9}")
    out += [f"{LABELS[name]} was not measured: {why}" for name, why in part["missing"].items()]
    return out
