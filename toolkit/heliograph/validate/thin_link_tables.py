"""What a report says of thin links: tables and charts for its page, lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from heliograph.measure import charts
from heliograph.measure.tiny import OURS
from heliograph.validate.tables import number, table
from heliograph.validate.thin_links import JPEG

SCORES = (("psnr", "PSNR over RGB, dB", ".2f"), ("ssimulacra2", "SSIMULACRA2", ".1f"))


def section(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the part of the page."""
    part = figures.get("thin_links")
    if part is None:
        return
    yield '<h2 id="thin-links">Thin links</h2>'
    yield f"<p>{len(part['pictures'])} of the pictures, {escape(part['decoder'])} decoder.</p>"
    yield from _small(part["small"])
    yield from _lost(part["lost"])


def _small(part: dict[str, Any]) -> Iterator[str]:
    yield f"<h3>{part['side']} pixels in few bytes</h3>"
    yield (
        f"<p>The pictures made as small as {part['side']} pixels, in the finest stream and file of at most so many "
        "bytes: means over those that fit, in brackets by how much ours is above, where both fit.</p>"
    )
    for quantity, label, form in SCORES:
        if any(one[quantity] is not None for row in part["budgets"].values() for one in row.values()):
            rows = [
                [budget, *(_entry(row[name], quantity, form, row[OURS]["of"]) for name in part["labels"])]
                for budget, row in part["budgets"].items()
            ]
            yield table([f"bytes, {label}", *part["labels"].values()], rows)
            yield f'<figure class="chart" data-thin="{quantity}">{chart(part, quantity, label)}</figure>'
    for name, why in part["left_out"].items():
        yield f'<p class="note">{escape(name)} was not measured: {escape(why)}</p>'


def _entry(one: dict[str, Any], quantity: str, form: str, count: int) -> str:
    """Return a mean as a table's entry: what ours is above it, and how many fit where not all do."""
    text = number(one[quantity], form)
    above = one.get(f"{quantity}_above")
    text += "" if above is None else f" ({above:+{form}})"
    return text + ("" if one["fit"] == count else f", {one['fit']} of {count} fit")


def chart(part: dict[str, Any], quantity: str, label: str) -> str:
    """Return the means by budget as SVG; of a codec only where all pictures fit, or means are of others."""
    series = []
    for name, said in part["labels"].items():
        rows = ((int(budget), row[name]) for budget, row in part["budgets"].items())
        points = [
            (budget, one[quantity])
            for budget, one in rows
            if one["fit"] == one["of"] and one[quantity] is not None
        ]
        series.append(charts.Series(name, said, points))
    return charts.lines(series, title=f"{part['side']} pixels in few bytes", x_label="bytes", y_label=label)


def _lost(part: dict[str, Any]) -> Iterator[str]:
    if part["bursts"]:
        packets = [row["packets"] for row in part["rows"]]
        yield "<h3>When packets are lost</h3>"
        yield (
            f"<p>{_range(packets)} packets of {part['packet_bytes']} bytes a picture, {part['bpp']:g} bits per pixel "
            f"with all that is sent, planned for {part['planned']:.0%} lost; mean PSNR over RGB of {len(packets)} "
            f"pictures and {part['seeds']} draws, in brackets how far the tenth percentile of a picture's draws is "
            "below its mean. A JPEG of as many bytes is shown up to the first packet that is lost.</p>"
        )
        rows = [
            [escape(said), *(_left(of[name]) for of in shares.values())]
            for name, said, shares in _curves(part)
        ]
        shares = next(iter(part["bursts"].values()))
        yield table(["dB", *(f"{share} % lost" for share in shares)], rows)
        series = [
            charts.Series(
                f"{name}-{n}", said, [(float(share), of[name]["psnr"]) for share, of in shares.items()]
            )
            for n, (name, said, shares) in enumerate(_curves(part))
        ]
        drawn = charts.lines(
            series,
            title="what is left when packets are lost",
            x_label="packets lost, %",
            y_label="PSNR over RGB, dB",
            logarithmic=False,
        )
        yield f'<figure class="chart" data-thin="lost">{drawn}</figure>'
    for name, why in part["left_out"].items():
        yield f'<p class="note">{escape(name)} was not sent in packets: {escape(why)}</p>'


def _left(one: dict[str, float]) -> str:
    return f"{one['psnr']:.2f} ({round(one['below'], 1) + 0.0:.1f})"  # "-0.0" says nothing


def _curves(part: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return codec, label and figures by share, ours first."""
    return [
        (name, f"{said}, {'one by one' if burst == '1' else f'bursts of {burst}'}", shares)
        for name, said in ((OURS, part["label"]), (JPEG, part["jpeg"]))
        for burst, shares in part["bursts"].items()
    ]


def _range(counts: list[int]) -> str:
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def lines(part: dict[str, Any]) -> list[str]:
    """Return the main figures as lines of text."""
    small, lost = part["small"], part["lost"]
    out = ["", f"{small['side']} pixels in few bytes: mean PSNR in dB, ours above others where both fit"]
    out.append(f"{'bytes':>7}" + "".join(f"{name:>18}" for name in small["labels"]))
    for budget, row in small["budgets"].items():
        entries = []
        for name in small["labels"]:
            text = number(row[name]["psnr"])
            above = row[name].get("psnr_above")
            entries.append(text if above is None else f"{text} ({above:+.2f})")
        fits = ", ".join(
            f"{name} {row[name]['fit']}" for name in small["labels"] if row[name]["fit"] < row[name]["of"]
        )
        note = f"   of {row[OURS]['of']} fit: {fits}" if fits else ""
        out.append(f"{budget:>7}" + "".join(f"{text:>18}" for text in entries) + note)
    out += [f"{name} was not measured: {why}" for name, why in small["left_out"].items()]
    if lost["bursts"]:
        out += [
            "",
            f"packets of {lost['packet_bytes']} bytes at {lost['bpp']:g} bits per pixel: mean PSNR in dB",
        ]
        shares = next(iter(lost["bursts"].values()))
        out.append(f"{'lost':<60}" + "".join(f"{share + ' %':>8}" for share in shares))
        for name, said, of in _curves(lost):
            out.append(f"{said:<60}" + "".join(f"{one[name]['psnr']:8.2f}" for one in of.values()))
    out += [f"{name} was not sent in packets: {why}" for name, why in lost["left_out"].items()]
    return out
