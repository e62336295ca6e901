"""The parts of a report's page that judge: the gate, parity, robustness, and streams made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from heliograph.validate.tables import number, table
from heliograph.validate.verdict import judge


def verdict(figures: dict[str, Any]) -> Iterator[str]:
    """Yield what it comes to, the worst cases, and what the gate says."""
    found = judge(figures)
    yield f'<p id="verdict" class="{"good" if found.passes else "bad"}">{escape(found.text)}</p>'
    yield from (f"<p>{escape(line)}</p>" for line in found.reasons if not line.startswith("missed: "))
    if found.worst:
        yield '<p>Worst cases:</p><ul id="worst">'
        yield from (f"<li>{escape(line)}</li>" for line in found.worst)
        yield "</ul>"
    gate = figures.get("gate")
    if gate is None:
        return
    yield '<h2 id="gate">Gate</h2>'
    if gate["missed"]:
        yield f'<p class="bad">{len(gate["missed"])} of {gate["requirements"]} requirements missed</p><ul>'
        yield from (f'<li class="bad">{escape(line)}</li>' for line in gate["missed"])
        yield "</ul>"
    else:
        yield f'<p class="good">all {gate["requirements"]} requirements met</p>'


def parity(figures: dict[str, Any]) -> Iterator[str]:
    """Yield how far runtimes agree, and where they part."""
    part = figures.get("parity")
    if part is None:
        return
    yield '<h2 id="parity">Parity</h2>'
    yield (
        f"<p>Latents of {part['pictures']} pictures against {escape(part['reference'])}. A stream carries integers: a "
        "difference changes what is sent, never how it is decoded. BD-rate is what it costs.</p>"
    )
    rows = []
    for name, r in part["runtimes"].items():
        rows.append(
            [
                escape(name),
                escape(r["note"]),
                f"{r['equal']:.2%}",
                f"{r['beyond_one']:.3%}",
                number(r["largest"], ".0f"),
                "–" if r["bd_rate"] is None else f"{100 * r['bd_rate']:+.2f} %",
                escape(r.get("parts_at") or ("nowhere" if "layers" in r else "–")),
            ]
        )
    yield table(
        ["runtime", "what it is", "equal", "more than 1 apart", "largest", "BD-rate", "first differs at"],
        rows,
        text=(1,),
    )
    for name, r in part["runtimes"].items():
        if r.get("parts_at"):
            yield f"<details><summary>Layers: {escape(name)}</summary>"
            rows = [
                [
                    escape(e["layer"]),
                    "x".join(map(str, e["shape"])),
                    f"{e['equal']:.2%}",
                    f"{e['largest']:.0f}",
                ]
                for e in r["layers"]
            ]
            yield table(["layer", "shape", "equal", "largest"], rows) + "</details>"
    for name, why in part["unavailable"].items():
        yield f'<p class="note">{escape(name)} did not run: {escape(why)}</p>'


def robustness(figures: dict[str, Any]) -> Iterator[str]:
    """Yield what each class of content and each damage does."""
    part = figures.get("robustness")
    if part is None:
        return
    yield '<h2 id="robustness">Robustness</h2>'
    yield "<p>Against JPEG's best file of at most as many bytes, by class of content; gains in dB of PSNR.</p>"
    for decoder in figures["codec"]["decoders"]:
        rows = []
        for entry in part["classes"].values():
            row = [escape(entry["label"]), str(entry["pictures"])]
            for m in (m for q, m in entry[decoder].items() if q != "shocks"):
                cannot = f" ({m['jpeg_cannot']} too small for JPEG)" if m["jpeg_cannot"] else ""
                row += [
                    number(m["bytes"], ".0f"),
                    number(m["psnr"]),
                    number(m["gain_db"], "+.2f") + cannot,
                    number(m["gain_ms_ssim"], "+.4f"),
                ]
            why = "; ".join(entry[decoder]["shocks"])
            row.append(
                f'<span class="bad">{escape(why)}</span> <span class="note">{escape(entry["note"])}</span>'
                if why
                else ""
            )
            rows.append(row)
        qualities = [q for q in next(iter(part["classes"].values()))[decoder] if q != "shocks"]
        head = ["class", "pictures"]
        for q in qualities:
            head += [f"bytes at {q}", "dB", "gain", "MS-SSIM gain"]
        yield f"<h3>{escape(decoder.capitalize())} decoder</h3>"
        yield table([*head, "what would shock"], rows, text=(len(head),))
    yield "<h3>Lost slices and cut streams</h3>"
    rows = []
    for decoder, shares in part["damage"]["lost-slices"].items():
        for share, m in shares.items():
            rows.append(
                [
                    escape(decoder),
                    f"{share} of slices lost ({number(m['lost'], '.1f')} of {number(m['slices'], '.1f')})",
                    number(m["psnr_whole"]),
                    number(m["psnr"]),
                    number(m["psnr_of_lost"]),
                    number(m["changed_far_away"], ".0f"),
                ]
            )
    yield table(
        ["decoder", "damage", "whole, dB", "damaged, dB", "lost parts, dB", "values changed far away"],
        rows,
        text=(1,),
    )
    rows = [
        [
            escape(decoder),
            f"{share} of the bytes",
            number(m["bytes"], ".0f"),
            number(m["psnr"]),
            number(m.get("jpeg_psnr")),
        ]
        for decoder, shares in part["damage"]["cut-streams"].items()
        for share, m in shares.items()
    ]
    yield table(["decoder", "what arrived", "bytes", "dB", "a JPEG made for that size, dB"], rows, text=(1,))


def streams(figures: dict[str, Any]) -> Iterator[str]:
    """Yield whether streams made elsewhere are as their makers recorded."""
    part = figures.get("streams")
    if part is None:
        return
    yield '<h2 id="streams">Streams made elsewhere</h2>'
    rows = [
        [
            escape(c["stream"]),
            escape(c["made_by"]),
            f'<span class="bad">{escape(c["problem"])}</span>'
            if c["problem"]
            else '<span class="good">values as recorded</span>',
        ]
        for c in part["checked"]
    ]
    yield table(["stream", "made by", "verdict"], rows, text=(1, 2))
