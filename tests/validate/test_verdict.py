"""A report opens with its verdict and the worst cases, and lives on where another codec or a part fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.measure import baselines
from heliograph.validate import harness
from heliograph.validate.page_checks import verdict as on_page
from heliograph.validate.verdict import judge

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


def content(label: str, gain: float, *shocks: str) -> dict[str, Any]:
    return {
        "label": label,
        "server": {"30": {"gain_db": gain}, "80": {"gain_db": None}, "shocks": list(shocks)},
    }


FIGURES: dict[str, Any] = {
    "codec": {"decoders": ["server"]},
    "pictures": [{"name": "a.png"}, {"name": "b.png"}, {"name": "c.png"}],
    "rate_distortion": {
        "labels": {"avif": "AVIF"},
        "by_picture": {"avif": {"ssimulacra2": {"rates": [-0.4, 0.25, None]}}},
        "left_out": {},
    },
    "robustness": {
        "classes": {
            "text": content("text", -8.8, "8.8 dB below JPEG"),
            "fog": content("fog", 2.0),
            "grating": content("gratings", -15.6, "15.6 dB below JPEG", "18 dB at the finest"),
        }
    },
}


def test_without_requirements() -> None:
    assert judge(FIGURES).lines() == [
        "verdict: nothing failed, and no requirements were given; "
        "2 of 3 kinds of content are far worse than JPEG or poor",
        "  worst: gratings, server decoder: 15.6 dB below JPEG; 18 dB at the finest",
        "  worst: text, server decoder: 8.8 dB below JPEG",
        "  worst: b.png: BD-rate +25 % against AVIF by SSIMULACRA2",
    ]
    assert judge(FIGURES).passes


def test_with_requirements_and_failures() -> None:
    plain = {key: FIGURES[key] for key in ("codec", "pictures")}
    assert judge(plain | {"gate": {"requirements": 3, "missed": []}}).lines() == [
        "verdict: passes, all 3 requirements met"
    ]
    bad = plain | {"gate": {"requirements": 3, "missed": ["psnr is 30"]}, "failed": {"parity": "OSError: x"}}
    assert judge(bad).lines() == [
        "verdict: does not pass",
        "  missed: psnr is 30",
        "  parity could not be measured: OSError: x",
    ]
    assert not judge(plain | {"streams": {"failed": 1}}).passes
    page = "".join(on_page(bad))
    assert page.startswith('<p id="verdict" class="bad">verdict: does not pass</p>')


def test_a_baseline_that_fails_on_one_file_is_left_out_and_the_report_is_there(
    codec_folder: Path,
    paint: Paint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, width in (("a", 200), ("b", 210)):
        Image.fromarray(paint(width, 180)).save(tmp_path / f"{name}.png")
    encode = baselines.encode

    def fails(name: str, picture: npt.NDArray[np.uint8], quality: int) -> bytes:
        if name == "webp" and picture.shape[1] == 210:
            raise OSError("encoder error -2")
        return encode(name, picture, quality)

    monkeypatch.setattr(baselines, "encode", fails)
    report = tmp_path / "report"
    words = [
        "validate",
        "--codec",
        str(codec_folder),
        "--images",
        str(tmp_path),
        "--decoder",
        "preview",
        "--no-cache",
    ]
    words += [
        "--qualities",
        "10",
        "40",
        "70",
        "95",
        "--against",
        "jpeg",
        "webp",
        "--jobs",
        "1",
        "--shown",
        "2",
    ]
    assert main([*words, "--parts", "rate-distortion", "maps", "--report", str(report)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "verdict: nothing failed, and no requirements were given"
    assert said[2] == "  not compared with webp: at 0: OSError: encoder error -2"
    part = json.loads((report / "report.json").read_text(encoding="utf-8"))["rate_distortion"]
    assert part["left_out"] == {"webp": "at 0: OSError: encoder error -2"}
    assert set(part["curves"]) == {"preview", "jpeg", "jpeg-default", "jpeg-tables-once"}
    page = (report / "report.html").read_text(encoding="utf-8")
    assert 'id="verdict"' in page
    assert "not compared with webp: at 0: OSError" in page


def test_a_part_that_fails_does_not_take_the_others_along(
    codec_folder: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*given: object) -> None:
        raise KeyError("layer")

    monkeypatch.setattr(harness, "_robustness", fails)
    report = tmp_path / "report"
    words = [
        "validate",
        "--codec",
        str(codec_folder),
        "--images",
        str(photo.parent),
        "--decoder",
        "preview",
        "--no-cache",
    ]
    words += [
        "--qualities",
        "30",
        "--against",
        "jpeg",
        "--jobs",
        "1",
        "--parts",
        "rate-distortion",
        "robustness",
    ]
    assert main([*words, "--report", str(report)]) == 1
    figures = json.loads((report / "report.json").read_text(encoding="utf-8"))
    assert figures["failed"] == {"robustness": "KeyError: 'layer'"}
    assert "rate_distortion" in figures
    assert "  robustness could not be measured: KeyError: 'layer'" in capsys.readouterr().out
