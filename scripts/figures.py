"""Write the figures of the shipped codecs on Kodak into README.md, MEASURED.md and the model cards.

    python scripts/figures.py [--check]

They come from `firmware_models/NAME/kodak.json`, which is the `summary.json` that `heliograph validate` left; see the
model cards for its command. Tables are found by their headings, rows by their first cells; cells that are not measured
on Kodak stay as they are. With --check nothing is written, and the exit code says whether all agrees.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CODECS = ("accelerator", "microcontroller")
OTHERS = {
    "AVIF, speed 6": "avif",
    "AVIF, speed 6, tuned for PSNR": "avif-psnr",
    "WebP, method 4": "webp",
    "JPEG, optimised": "jpeg",
}
METRICS = ("ssimulacra2", "psnr", "psnr_y")  # in the order of the columns
Summary = dict[str, Any]
# A row's cells, and how often its first stood in the table before: its new cells, or None to leave it.
Row = Callable[[list[str], int], list[str] | None]


def percent(share: float) -> str:
    """Return a share as a signed percentage."""
    return f"{100 * share:+.1f} %"


def mean_rate(summary: Summary, other: str, metric: str) -> str:
    """Return the mean of the pictures' own BD-rates against another codec."""
    return percent(summary["rate_distortion"]["by_picture"][other][metric]["mean"])


def by_picture(summary: Summary) -> Row:
    """Return rows of another codec: for each metric the mean, the worst picture, and on how many it is better."""

    def row(cells: list[str], _: int) -> list[str] | None:
        if cells[0] not in OTHERS:
            return None
        found = [cells[0]]
        for metric in METRICS:
            rates = summary["rate_distortion"]["by_picture"][OTHERS[cells[0]]][metric]["rates"]
            better = sum(rate < 0 for rate in rates)
            mean = mean_rate(summary, OTHERS[cells[0]], metric)
            found.append(f"{mean} ({100 * max(rates):+.1f}, {better or 'none'})")
        return found

    return row


def headline(summaries: dict[str, Summary]) -> Row:
    """Return rows of a metric: the mean against each other codec."""
    rows = {
        "SSIMULACRA2, which agrees best with people": ("accelerator", "ssimulacra2"),
        "the same of `microcontroller`": ("microcontroller", "ssimulacra2"),
        "PSNR over RGB": ("accelerator", "psnr"),
        "PSNR of luminance": ("accelerator", "psnr_y"),
    }

    def row(cells: list[str], _: int) -> list[str] | None:
        if cells[0] not in rows:
            return None
        name, metric = rows[cells[0]]
        rates = [mean_rate(summaries[name], other, metric) for other in OTHERS.values()]
        is_bold = metric == "ssimulacra2"
        return [cells[0], *(f"**{r}**" if is_bold and r.startswith("-") else r for r in rates)]

    return row


def mean_curves(summaries: dict[str, Summary]) -> Row:
    """Return rows of a metric: the BD-rate of mean curves against JPEG."""
    rows = {
        "BD-rate of the mean curve, PSNR over RGB": "psnr",
        "BD-rate of the mean curve, MS-SSIM": "ms_ssim",
    }

    def row(cells: list[str], _: int) -> list[str] | None:
        if cells[0] not in rows:
            return None
        found = [summaries[name]["rate_distortion"]["differences"]["server"] for name in CODECS]
        found += [
            summaries["accelerator"]["rate_distortion"]["differences"][other] for other in ("avif", "webp")
        ]
        return [cells[0], *(percent(each[rows[cells[0]]]["bd_rate"]) for each in found), "0"]

    return row


def mean_curves_by_codec(summaries: dict[str, Summary]) -> Row:
    """Return rows of a codec's decoder: BD-rates over RGB and of MS-SSIM, and the range; what follows is kept."""

    def row(cells: list[str], before: int) -> list[str] | None:
        name = cells[0].strip("*`")
        if cells[0] == "the same streams, int8 preview decoder":
            name, decoder = CODECS[before], "preview"
        elif name in CODECS:
            decoder = "server"
        else:
            return None
        found = summaries[name]["rate_distortion"]["differences"][decoder]
        rates = [percent(found[metric]["bd_rate"]) for metric in ("psnr", "ms_ssim")]
        over = f"{found['psnr']['from_db']:.1f} to {found['psnr']['to_db']:.1f} dB"
        return [cells[0], f"**{rates[0]}**" if decoder == "server" else rates[0], rates[1], over, *cells[4:]]

    return row


def differences(summary: Summary) -> Row:
    """Return rows of a decoder or another codec: its mean curve against JPEG's."""
    rows = OTHERS | {"**server decoder**": "server", "preview decoder": "preview"}

    def row(cells: list[str], _: int) -> list[str] | None:
        if cells[0] not in rows:
            return None
        found = summary["rate_distortion"]["differences"][rows[cells[0]]]
        rgb, each = found["psnr"], found["psnr_by_picture"]
        rate = percent(rgb["bd_rate"])
        return [
            cells[0],
            f"**{rate}**" if cells[0].startswith("*") else rate,
            f"{rgb['from_db']:.1f} to {rgb['to_db']:.1f}",
            f"{rgb['bd_psnr']:+.2f}",
            *(percent(found[metric]["bd_rate"]) for metric in ("psnr_y", "ms_ssim")),
            f"{100 * min(each):+.0f} to {100 * max(each):+.0f} %",
        ]

    return row


def curve(summary: Summary) -> Row:
    """Return rows of a quality: a point of the codec's curve."""
    server, preview = (summary["rate_distortion"]["curves"][name] for name in ("server", "preview"))

    def row(cells: list[str], _: int) -> list[str]:
        at = server[cells[0]]
        values = (f"{at['bpp']:.3f}", f"{at['psnr']:.2f}", f"{at['psnr_y']:.2f}", f"{at['ssimulacra2']:.1f}")
        return [cells[0], *values, f"{at['ms_ssim']:.4f}", f"{preview[cells[0]]['psnr']:.2f}"]

    return row


def contents(summary: Summary) -> Row:
    """Return rows of a class of content: gains over JPEG at equal bytes, and the largest error of a channel's mean."""
    classes = {each["label"]: each["server"] for each in summary["robustness"]["classes"].values()}

    def row(cells: list[str], _: int) -> list[str] | None:
        if cells[0] not in classes:
            return None
        points = [classes[cells[0]][quality] for quality in ("30", "80")]
        gains = ["–" if p["gain_db"] is None else f"{p['gain_db']:+.1f}" for p in points]
        return [cells[0], *gains, f"{max(p['worst_shift'] for p in points):.0f}"]

    return row


def tables(summaries: dict[str, Summary]) -> dict[str, dict[str, Row]]:
    """Return by file and by a table's heading, its cells joined by |, what makes its rows."""
    accelerator, microcontroller = (summaries[name] for name in CODECS)
    metrics = "SSIMULACRA2|PSNR over RGB|PSNR of luminance"
    found = {
        "README.md": {
            "`accelerator` against|AVIF, speed 6|AVIF tuned for PSNR|WebP, method 4|JPEG, optimised": headline(
                summaries
            ),
            "|**`accelerator`**|**`microcontroller`**|AVIF, speed 6|WebP, method 4|JPEG, optimised": mean_curves(
                summaries
            ),
        },
        "MEASURED.md": {
            f"`accelerator` against|{metrics}": by_picture(accelerator),
            f"`microcontroller` against|{metrics}": by_picture(microcontroller),
            "|BD-rate, PSNR over RGB|BD-rate, MS-SSIM|over|encoding, ms per megapixel, one thread": (
                mean_curves_by_codec(summaries)
            ),
        },
    }
    for name, summary in summaries.items():
        found[f"firmware_models/{name}/README.md"] = {
            "quality|bits per pixel|PSNR, dB|of luminance|SSIMULACRA2|MS-SSIM|preview decoder, dB": curve(
                summary
            ),
            f"against|{metrics}": by_picture(summary),
            "|BD-rate, PSNR over RGB|range, dB|BD-PSNR, dB|BD-rate, luminance|BD-rate, MS-SSIM|by picture": (
                differences(summary)
            ),
            "content|quality 30|quality 80|mean off by": contents(summary),
        }
    return found


def cells_of(line: str) -> list[str]:
    """Return the cells of a table's line."""
    return [cell.strip() for cell in line.strip("|\n").split("|")]


def filled(text: str, makers: dict[str, Row]) -> str:
    """Return a text with the rows of its tables made anew.

    Raises:
        ValueError: a table is missing.
    """
    lines, missing = text.split("\n"), set(makers)
    row: Row | None = None  # where no table is
    seen: dict[str, int] = {}
    for number, line in enumerate(lines):
        if not line.startswith("|"):
            row = None
        elif row is None:
            heading = "|".join(cells_of(line))
            row, seen = makers.get(heading, _kept), {}
            missing.discard(heading)
        elif not line.startswith("|---"):
            cells = cells_of(line)
            made = row(cells, seen.get(cells[0], 0))
            seen[cells[0]] = seen.get(cells[0], 0) + 1
            if made is not None:
                lines[number] = "| " + " | ".join(made).rstrip() + " |"
    if missing:
        raise ValueError(f"no table with the heading {missing.pop()!r}")
    return "\n".join(lines)


def _kept(_: list[str], __: int) -> None:
    """Leave a row of another table as it is."""


def main(arguments: Sequence[str]) -> int:
    """Write, or check; return the exit code."""
    summaries = {
        name: json.loads((ROOT / "firmware_models" / name / "kodak.json").read_text(encoding="utf-8"))
        for name in CODECS
    }
    wrong = 0
    for name, makers in tables(summaries).items():
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        made = filled(text, makers)
        if made != text:
            wrong += 1
            print(f"{name}: {'differs' if '--check' in arguments else 'written'}")
            if "--check" not in arguments:
                path.write_text(made, encoding="utf-8")
    return int(bool(wrong) and "--check" in arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
