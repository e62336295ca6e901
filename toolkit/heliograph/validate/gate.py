"""Whether a codec may ship: figures of a report against thresholds from a file.

A file is TOML or JSON:

    [[require]]
    figure = "rate_distortion.differences.server.psnr.bd_rate"
    at_most = -0.40

`figure` is a path into report.json, keys joined by dots; `at_most` and `at_least` are inclusive.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.errors import CodecError

KEYS = {"figure", "at_most", "at_least"}
NO_WORSE = 0.005  # BD-rate of memory against none, on the sequence that it brings least


@dataclass(frozen=True)
class Requirement:
    """A figure by its path in the report, and the range it must lie in."""

    figure: str
    at_most: float = math.inf
    at_least: float = -math.inf

    def __str__(self) -> str:
        parts = []
        if self.at_least > -math.inf:
            parts.append(f"at least {self.at_least:g}")
        if self.at_most < math.inf:
            parts.append(f"at most {self.at_most:g}")
        return f"{self.figure} {' and '.join(parts)}"


def load(path: Path) -> list[Requirement]:
    """Read a file of thresholds.

    Raises:
        CodecError: it cannot be read, is neither TOML nor JSON, is empty, or an entry is not as described above.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else _toml(text)
    except (OSError, ValueError) as error:
        raise CodecError(f"cannot read thresholds {path}: {error}; check the file") from error
    entries = content.get("require") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise CodecError(f"{path} has no thresholds: expected a list of [[require]] with figure and at_most")
    return [_requirement(path, entry) for entry in entries]


def _toml(text: str) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError as error:  # Python 3.10
        raise ValueError("TOML needs Python 3.11; write the thresholds as .json") from error
    return tomllib.loads(text)


def _requirement(path: Path, entry: Any) -> Requirement:
    is_good = isinstance(entry, dict) and set(entry) <= KEYS and isinstance(entry.get("figure"), str)
    numbers = [v for k, v in entry.items() if k != "figure"] if is_good else []
    if not numbers or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in numbers):
        raise CodecError(
            f"{path}: {entry!r} is no threshold: expected figure, and a number as at_most or at_least"
        )
    return Requirement(**entry)


def look_up(report: Any, figure: str) -> float | None:
    """Return the number at a path of a report, None where there is none; keys may have dots in them."""
    if isinstance(report, list):
        report = {str(n): entry for n, entry in enumerate(report)}
    for key, value in report.items() if isinstance(report, dict) else ():
        if figure == key and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if figure.startswith(f"{key}.") and (found := look_up(value, figure[len(key) + 1 :])) is not None:
            return found
    return None


def check(report: dict[str, Any], requirements: Iterable[Requirement]) -> list[str]:
    """Return a line for each requirement that is missed; a figure that was not measured is missed."""
    missed = []
    for rule in requirements:
        value = look_up(report, rule.figure)
        if value is None:
            missed.append(
                f"{rule.figure} was not measured, required {str(rule).removeprefix(rule.figure)[1:]}"
            )
        elif not rule.at_least <= value <= rule.at_most:
            missed.append(f"{rule.figure} is {value:.5g}, required {str(rule).removeprefix(rule.figure)[1:]}")
    return missed


def suggest(report: dict[str, Any]) -> str:
    """Return thresholds as TOML, a little worse than what a report has: what a codec is held to from now on.

    The margins, 1 % of rate and 0.05 dB, are for other versions of runtimes and libraries.
    """
    entries = _of_curves(report) + _of_sites(report)
    lines = [f"# What codec {report['codec']['name']} {report['codec']['id']} is held to, measured by", "#"]
    lines += [f"#     {report['command']}", ""]
    for rule in entries:
        lines += ["[[require]]", f"figure = {json.dumps(rule.figure)}"]
        lines += [f"at_least = {rule.at_least}"] if rule.at_least > -math.inf else []
        lines += [f"at_most = {rule.at_most}"] if rule.at_most < math.inf else []
        lines.append("")
    return "\n".join(lines)


def _of_pictures(part: dict[str, Any]) -> list[Requirement]:
    """The mean of single pictures' differences to each other codec by what the eye sees, of all and of each class."""
    entries = []
    for other, of in part["by_picture"].items():
        measured = of["ssimulacra2"]
        path = f"rate_distortion.by_picture.{other}.ssimulacra2"
        known = {f"{path}.classes.{name}": mean for name, mean in measured.get("classes", {}).items()}
        if "mean" in measured:
            known = {f"{path}.mean": measured["mean"]} | known
        entries += [Requirement(figure, at_most=round(mean + 0.01, 4)) for figure, mean in known.items()]
    return entries


def _of_curves(report: dict[str, Any]) -> list[Requirement]:
    if "rate_distortion" not in report:
        return []
    part = report["rate_distortion"]
    entries = _of_pictures(part)
    for decoder in report["codec"]["decoders"]:
        difference = part["differences"].get(decoder, {}).get("psnr", {}).get("bd_rate")
        if difference is not None:
            path = f"rate_distortion.differences.{decoder}.psnr.bd_rate"
            entries.append(Requirement(path, at_most=round(difference + 0.01, 4)))
        for quality, row in part["curves"][decoder].items():
            path = f"rate_distortion.curves.{decoder}.{quality}"
            entries.append(Requirement(f"{path}.bpp", at_most=round(1.01 * row["bpp"], 4)))
            entries.append(Requirement(f"{path}.psnr", at_least=round(row["psnr"] - 0.05, 2)))
    return entries


def _of_sites(report: dict[str, Any]) -> list[Requirement]:
    """What memory saves on each sequence, and that it costs on none."""
    if "sites" not in report:
        return []
    entries = [Requirement("sites.worst.bd_rate", at_most=NO_WORSE)]
    for name, site in report["sites"]["sequences"].items():
        rate = site["differences"]["none"].get("bd_rate")
        if rate is not None:
            path = f"sites.sequences.{name}.differences.none.bd_rate"
            entries.append(Requirement(path, at_most=round(rate + 0.01, 4)))
    return entries
