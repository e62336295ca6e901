"""Thresholds: what a file may say, what is met and what is missed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import CodecError
from heliograph.validate import gate

REPORT: dict[str, Any] = {
    "command": "heliograph validate --quick",
    "codec": {"name": "tried", "id": "00", "decoders": ["server"]},
    "rate_distortion": {
        "differences": {"server": {"psnr": {"bd_rate": -0.4}}},
        "by_picture": {"avif": {"ssimulacra2": {"rates": [0.1, 0], "mean": 0.05, "classes": {"dark": 0.1}}}},
        "curves": {"server": {"10": {"bpp": 0.1, "psnr": 28.0}, "50": {"bpp": 0.4, "psnr": 32.0}}},
        "rows": [{"bpp": 0.1}],
    },
}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml = write(tmp_path / "a.toml", '[[require]]\nfigure = "a.b"\nat_most = 3\nat_least = -1.5\n')
    content = {"require": [{"figure": "a.b", "at_most": 3, "at_least": -1.5}]}
    found = gate.load(toml)
    assert found == gate.load(write(tmp_path / "a.json", json.dumps(content)))
    assert str(found[0]) == "a.b at least -1.5 and at most 3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no thresholds: expected a list of"),
        ("require = 3", "has no thresholds"),
        ("[[require]]\nfigure = ", "cannot read thresholds .*check the file"),
        ('[[require]]\nfigure = "a"\n', "is no threshold: expected figure, and a number"),
        ('[[require]]\nfigure = "a"\nat_most = "much"\n', "is no threshold"),
        ('[[require]]\nfigure = "a"\nat_most = true\n', "is no threshold"),
        ('[[require]]\nfigure = "a"\nmost = 3\n', "is no threshold"),
        ("[[require]]\nat_most = 3\n", "is no threshold"),
    ],
)
def test_files_that_say_nothing_clear_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        gate.load(write(tmp_path / "bad.toml", text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CodecError, match=r"cannot read thresholds .*none\.toml"):
        gate.load(tmp_path / "none.toml")


def test_what_is_missed_is_listed_with_value_and_threshold() -> None:
    figure = "rate_distortion.differences.server.psnr.bd_rate"
    met = gate.Requirement(figure, at_most=-0.4)
    missed = gate.Requirement(figure, at_most=-0.41)
    absent = gate.Requirement("parity.runtimes.TFLM.equal", at_least=0.9)
    assert gate.check(REPORT, [met]) == []
    assert gate.check(REPORT, [met, missed, absent]) == [
        f"{figure} is -0.4, required at most -0.41",
        "parity.runtimes.TFLM.equal was not measured, required at least 0.9",
    ]


def test_paths_lead_through_lists_and_end_at_numbers() -> None:
    assert gate.look_up(REPORT, "rate_distortion.rows.0.bpp") == 0.1
    assert gate.look_up(REPORT, "rate_distortion.rows.1.bpp") is None
    assert gate.look_up(REPORT, "codec.name") is None
    assert (
        gate.look_up({"a": {"b": 1}, "a.b": {"c.d": 2}}, "a.b.c.d") == 2
    )  # keys with dots, such as folders' names


def test_suggested_thresholds_are_met_and_close(tmp_path: Path) -> None:
    found = gate.load(write(tmp_path / "require.toml", gate.suggest(REPORT)))
    assert [(rule.figure, rule.at_most) for rule in found[:2]] == [
        ("rate_distortion.by_picture.avif.ssimulacra2.mean", 0.06),
        ("rate_distortion.by_picture.avif.ssimulacra2.classes.dark", 0.11),
    ]
    assert len(found) == 7
    assert gate.check(REPORT, found) == []
    worse = json.loads(json.dumps(REPORT))
    worse["rate_distortion"]["curves"]["server"]["50"]["psnr"] -= 0.1
    (line,) = gate.check(worse, found)
    assert line == "rate_distortion.curves.server.50.psnr is 31.9, required at least 31.95"


def test_sites_are_held_to_what_memory_saves(tmp_path: Path) -> None:
    sites = {
        name: {"differences": {"none": {"bd_rate": rate}}} for name, rate in (("a.b", -0.3), ('"c"', 0.001))
    }
    report = {k: v for k, v in REPORT.items() if k != "rate_distortion"}
    report["sites"] = {"sequences": sites, "worst": {"sequence": '"c"', "bd_rate": 0.001}}
    found = gate.load(write(tmp_path / "require.toml", gate.suggest(report)))
    assert [rule.at_most for rule in found] == [gate.NO_WORSE, -0.29, 0.011]
    assert gate.check(report, found) == []
    report["sites"]["worst"] = {"sequence": '"c"', "reason": "no curve"}
    assert gate.check(report, found) == ["sites.worst.bd_rate was not measured, required at most 0.005"]
