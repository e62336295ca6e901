"""The command `heliograph validate` on the small codec: the report's files, the cache, and exit codes."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.commands import validate

Paint = Callable[[int, int], npt.NDArray[np.uint8]]
QUALITIES = ["0", "30", "60", "95"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, paint: Paint) -> Path:
    """A folder of two pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, width, height in (("<wide>", 320, 200), ("tall", 180, 260)):
        Image.fromarray(paint(width, height)).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def options(codec_folder: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A small validation, with a cache that the tests share."""
    cache = tmp_path_factory.mktemp("cache") / "cache.sqlite"
    given = ["validate", "--codec", str(codec_folder), "--images", str(pictures), "--decoder", "preview"]
    return [*given, "--qualities", *QUALITIES, "--jobs", "1", "--shown", "1", "--cache", str(cache)]


@pytest.fixture(scope="module")
def report(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with all parts but parity."""
    folder = tmp_path_factory.mktemp("reports") / "report"
    command = [*options, "--parts", "rate-distortion", "robustness", "maps", "--report", str(folder)]
    assert main(command) == 0
    return folder


@pytest.fixture(scope="module")
def figures(report: Path) -> dict[str, Any]:
    """report.json."""
    found: dict[str, Any] = json.loads((report / "report.json").read_text(encoding="utf-8"))
    return found


def test_means_are_those_of_the_rows(figures: dict[str, Any]) -> None:
    part = figures["rate_distortion"]
    assert set(part["curves"]) == {
        "preview", "jpeg", "webp", "jpeg2000", "avif", "avif-psnr", "jpeg-default", "jpeg-tables-once",
    }  # fmt: skip
    for name, curve in part["curves"].items():
        for quality, row in curve.items():
            rows = part["rows"][name][quality]
            assert len(rows) == 2
            assert row["bpp"] == pytest.approx(np.mean([r["bpp"] for r in rows]))
            assert row["psnr"] == pytest.approx(np.mean([r["psnr"] for r in rows]))
    assert part["rows"]["preview"]["30"][0]["bytes"] == pytest.approx(
        part["rows"]["preview"]["30"][0]["bpp"] * 320 * 200 / 8
    )
    assert [p["name"] for p in figures["pictures"]] == ["<wide>.png", "tall.png"]


def test_jpeg_variants_differ_in_bytes_alone(figures: dict[str, Any]) -> None:
    rows = figures["rate_distortion"]["rows"]
    for optimised, default, once in zip(
        rows["jpeg"]["50"], rows["jpeg-default"]["50"], rows["jpeg-tables-once"]["50"], strict=True
    ):
        assert once["bytes"] < optimised["bytes"] < default["bytes"]
        assert once["psnr"] == optimised["psnr"] == default["psnr"]
    saved = sum(r["bytes"] for r in rows["jpeg"]["50"]) - sum(
        r["bytes"] for r in rows["jpeg-tables-once"]["50"]
    )
    assert saved == pytest.approx(sum(r["table_bytes"] for r in rows["jpeg"]["50"]) / 2)


def test_differences_state_their_overlap(figures: dict[str, Any]) -> None:
    found = figures["rate_distortion"]["differences"]
    assert "jpeg" not in found
    webp = found["webp"]["psnr"]
    assert webp["from_db"] < webp["to_db"]
    assert webp["from_bpp"] < webp["to_bpp"]
    assert len(found["webp"]["psnr_by_picture"]) == 2
    assert found["jpeg-tables-once"]["psnr"]["bd_rate"] < 0 < found["jpeg-default"]["psnr"]["bd_rate"]


def test_a_second_run_measures_nothing(
    options: list[str], report: Path, tmp_path: Path, figures: dict[str, Any]
) -> None:
    again = tmp_path / "again"
    assert main([*options, "--parts", "rate-distortion", "robustness", "maps", "--report", str(again)]) == 0
    found = json.loads((again / "report.json").read_text(encoding="utf-8"))
    assert found["cache"]["misses"] == 0
    assert found["cache"]["hits"] > 100
    assert found["rate_distortion"] == figures["rate_distortion"]
    assert found["robustness"] == figures["robustness"]
    sheets = [
        re.findall(r'id="sheets">(.*)</script>', (folder / "report.html").read_text(encoding="utf-8"))
        for folder in (report, again)
    ]
    assert sheets[0] == sheets[1]
    assert len(sheets[0]) == 1


def test_the_page_needs_no_network_and_escapes_names(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", page)
    assert not re.findall(r"url\(|@import|<link(?! rel=\"icon\" href=\"data:)", page)
    addresses = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert "<wide>" not in page
    assert "&lt;wide&gt;.png" in page
    assert len(page) < 3_000_000


def test_charts_have_every_series(report: Path, figures: dict[str, Any]) -> None:
    names = set(figures["rate_distortion"]["curves"])
    svg = ElementTree.fromstring((report / "curves.svg").read_text(encoding="utf-8"))
    space = "{http://www.w3.org/2000/svg}"
    drawn = {line.get("data-series"): line for line in svg.iter(f"{space}polyline")}
    assert set(drawn) == names
    assert len((drawn["preview"].get("points") or "").split()) == len(QUALITIES)


def test_the_summary_is_small_and_has_the_figures(report: Path, figures: dict[str, Any]) -> None:
    text = (report / "summary.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert len(text) < 60_000
    assert "rows" not in found["rate_distortion"]
    assert found["rate_distortion"]["curves"]["preview"]["30"]["psnr"] == pytest.approx(
        figures["rate_distortion"]["curves"]["preview"]["30"]["psnr"], rel=1e-5
    )
    assert found["codec"]["id"] == figures["codec"]["id"]


def test_where_pictures_lie_is_nobodys_matter(report: Path, pictures: Path) -> None:
    for name in ("report.json", "summary.json", "report.html"):
        assert str(pictures) not in (report / name).read_text(encoding="utf-8")


def test_missed_requirements_are_exit_code_1_and_listed(
    options: list[str], report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*options, "--parts", "rate-distortion"]
    held = tmp_path / "require.toml"
    assert main([*command, "--write-require", str(held)]) == 0
    assert main([*command, "--require", str(held)]) == 0
    figure = "rate_distortion.curves.preview.30.psnr"
    held.write_text(f'[[require]]\nfigure = "{figure}"\nat_least = 99\n', encoding="utf-8")
    out = tmp_path / "out"
    assert main([*command, "--require", str(held), "--report", str(out)]) == validate.EXIT_MISSED
    caught = capsys.readouterr()
    assert f"missed: {figure} is " in caught.err
    assert "gate: 0 of 1 met" in caught.out
    assert "1 of 1 requirements missed" in (out / "report.html").read_text(encoding="utf-8")


def test_a_bad_threshold_file_stops_before_anything_is_measured(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = tmp_path / "require.toml"
    held.write_text("", encoding="utf-8")
    assert main([*options, "--require", str(held)]) == 2
    assert "has no thresholds" in capsys.readouterr().err


def test_processes_measure_the_same(options: list[str], figures: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "processes"
    command = [*options, "--jobs", "2", "--no-cache", "--parts", "rate-distortion", "--against", "jpeg"]
    assert main([*command, "--report", str(out)]) == 0
    found = json.loads((out / "report.json").read_text(encoding="utf-8"))["rate_distortion"]["rows"]
    for name in ("preview", "jpeg"):
        for quality, rows in found[name].items():
            for row, known in zip(rows, figures["rate_distortion"]["rows"][name][quality], strict=True):
                assert (row["bytes"], row["psnr"]) == (known["bytes"], known["psnr"])


def test_the_names_offered_are_those_there_are() -> None:
    from heliograph.measure.baselines import BASELINES
    from heliograph.measure.video import VIDEOS
    from heliograph.validate.harness import PARTS

    assert tuple(BASELINES) == validate.BASELINES
    assert tuple(VIDEOS) == validate.VIDEOS
    assert validate.PARTS == PARTS


def test_tiny_pictures_and_no_baselines_make_a_page_too(
    codec_folder: Path, paint: Paint, tmp_path: Path
) -> None:
    for width, height in ((1, 1), (33, 17)):
        Image.fromarray(paint(width, height)).save(tmp_path / f"{width}.png")
    command = [
        "validate",
        "--codec",
        str(codec_folder),
        "--images",
        str(tmp_path),
        "--no-cache",
        "--jobs",
        "1",
    ]
    command += ["--decoder", "preview", "--qualities", "10", "90", "--parts", "rate-distortion", "maps"]
    assert main([*command, "--against", "--report", str(tmp_path / "report")]) == 0
    found = json.loads((tmp_path / "report/report.json").read_text(encoding="utf-8"))
    assert set(found["rate_distortion"]["curves"]) == {"preview"}
    assert found["rate_distortion"]["curves"]["preview"]["90"]["ms_ssim"] is None
    assert found["rate_distortion"]["differences"] == {}
    assert main([*command, "--against", "jpeg", "jpeg2000", "--report", str(tmp_path / "other")]) == 0
    found = json.loads((tmp_path / "other/report.json").read_text(encoding="utf-8"))
    assert "at least 4 points" in found["rate_distortion"]["differences"]["preview"]["psnr"]["reason"]
    assert "NaN" not in (tmp_path / "other/report.json").read_text(encoding="utf-8")
