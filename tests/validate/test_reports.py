"""The commands that print figures, run on a small codec and a small picture."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from heliograph.cli import main
from heliograph.validate import entropy_report, runtimes


def test_the_entropy_report_prints_every_part(
    codec_folder: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entropy_report.main([str(codec_folder), str(photo)]) == 0
    out = capsys.readouterr().out
    for title in ("Bytes", "Speed", "Budgets", "Layers and slices", "Prefixes"):
        assert f"\n{title}\n" in out
    used = [float(share) for share in re.findall(r"kB +\S+ +\d+ +([\d.]+)%", out)]
    assert used
    assert max(used) <= 100


def test_the_entropy_report_names_what_it_cannot_read(
    codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    assert entropy_report.main([str(codec_folder), str(bad)]) == 2
    assert f"{bad} is not a picture" in capsys.readouterr().err


def test_evaluate_measures_files_and_writes_figures(
    codec_folder: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    command = [
        "evaluate",
        "--codec",
        str(codec_folder),
        "--images",
        str(photo.parent),
        "--decoder",
        "preview",
    ]
    assert main([*command, "--qualities", "5", "95", "--against", "--json", str(figures)]) == 0
    found = json.loads(figures.read_text(encoding="utf-8"))
    low, high = (found["curves"]["accelerator"][q] for q in ("5", "95"))
    assert low["bpp"] < high["bpp"]
    assert low["bytes"] == pytest.approx(low["bpp"] * 97 * 61 / 8)
    assert "means over 1 pictures" in capsys.readouterr().out


def test_runtimes_agree_within_the_encoders_last_bits(
    codec_folder: Path, photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["runtimes", "--images", str(photo.parent), "--codec", str(codec_folder)]
    monkeypatch.setattr("sys.argv", command)
    assert runtimes.main() == 0
    out = capsys.readouterr().out
    shares = [float(s) for s in re.findall(r"([\d.]+)% of latents equal", out)]
    assert min(shares) > 80
    assert "ms per megapixel" in out
