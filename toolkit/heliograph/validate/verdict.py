"""What a report comes to: whether the codec passes, and where it is worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from heliograph.validate import picture_by_picture

SHOWN = 5  # worst cases


@dataclass(frozen=True)
class Verdict:
    """What a report says first.

    Attributes:
        passes: nothing that was asked for is missed, and no part failed.
        text: a sentence.
        reasons: why it does not pass, and what could not be measured.
        worst: the worst cases, the worst first.
    """

    passes: bool
    text: str
    reasons: list[str]
    worst: list[str]

    def lines(self) -> list[str]:
        """Return it as lines of text."""
        worst = [f"worst: {line}" for line in self.worst]
        return [self.text, *(f"  {line}" for line in self.reasons), *(f"  {line}" for line in worst)]


def judge(figures: dict[str, Any]) -> Verdict:
    """Return the verdict of report.json."""
    missed = [f"missed: {line}" for line in figures.get("gate", {}).get("missed", [])]
    failed = [f"{part} could not be measured: {why}" for part, why in figures.get("failed", {}).items()]
    streams = figures.get("streams", {}).get("failed", 0)
    if streams:
        failed.append(f"{streams} streams made elsewhere are not as recorded")
    left = figures.get("rate_distortion", {}).get("left_out", {})
    beside = [f"not compared with {name}: {why}" for name, why in left.items()]
    passes = not missed and not failed
    return Verdict(passes, _text(figures, passes=passes), [*missed, *failed, *beside], worst_cases(figures))


def _text(figures: dict[str, Any], *, passes: bool) -> str:
    shocked, classes = len(_shocks(figures)), len(figures.get("robustness", {}).get("classes", {}))
    content = f"; {shocked} of {classes} kinds of content are far worse than JPEG or poor" if shocked else ""
    if not passes:
        return f"verdict: does not pass{content}"
    count = figures.get("gate", {}).get("requirements")
    said = (
        f"passes, all {count} requirements met" if count else "nothing failed, and no requirements were given"
    )
    return f"verdict: {said}{content}"


def _shocks(figures: dict[str, Any]) -> list[tuple[float, str]]:
    """Return kinds of content that would shock a user, as (the worst gain in dB, text)."""
    found = []
    for entry in figures.get("robustness", {}).get("classes", {}).values():
        for decoder in figures["codec"]["decoders"]:
            of = entry[decoder]
            gains = [m["gain_db"] for q, m in of.items() if q != "shocks" and m["gain_db"] is not None]
            if of["shocks"]:
                found.append(
                    (
                        min(gains, default=0.0),
                        f"{entry['label']}, {decoder} decoder: {'; '.join(of['shocks'])}",
                    )
                )
                break  # the better decoder comes first
    return found


def worst_cases(figures: dict[str, Any]) -> list[str]:
    """Return the kinds of content and the pictures on which the codec is worst, and where runtimes part most."""
    cases = [text for _, text in sorted(_shocks(figures))[:SHOWN]]
    other, quantity, numbers = picture_by_picture.order(figures)
    if numbers:
        part, worst = figures["rate_distortion"], numbers[0]
        rate = part["by_picture"][other][quantity]["rates"][worst]
        cases.append(
            f"{figures['pictures'][worst]['name']}: BD-rate {100 * rate:+.0f} % against {part['labels'][other]} "
            f"by {picture_by_picture.QUANTITIES[quantity]}"
        )
    runtimes = figures.get("parity", {}).get("runtimes", {})
    costs = [(r["bd_rate"], name) for name, r in runtimes.items() if r["bd_rate"] is not None]
    if costs and max(costs)[0] > 0.001:
        cost, name = max(costs)
        cases.append(f"{name}: {100 * cost:+.2f} % BD-rate for latents that are not those of the reference")
    return cases
