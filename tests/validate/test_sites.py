"""Site memory measured on generated cameras, one still, one that jumps; the report, the gate, bad folders."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.codec.memory import Memory
from heliograph.codec.rate import Rate
from heliograph.commands import validate
from heliograph.errors import PictureError
from heliograph.measure import video
from heliograph.measure.cache import Cache
from heliograph.measure.sites import find
from heliograph.measure.video import VIDEOS
from heliograph.validate import site_tables, sites
from heliograph.validate.subject import Subject

Picture = npt.NDArray[np.uint8]
Paint = Callable[[int, int], Picture]
QUALITIES = (10, 35, 60, 85)
COUNT = 6


def noisy(picture: Picture, seed: int) -> Picture:
    noise = np.random.default_rng(seed).normal(0, 2, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def still(paint: Paint) -> list[Picture]:
    """A camera that sees the same with another noise each time."""
    return [noisy(paint(112, 80), seed) for seed in range(COUNT)]


@pytest.fixture(scope="module")
def jumping(paint: Paint) -> list[Picture]:
    """A camera that is turned to another place after three pictures."""
    there = 255 - paint(112, 80)[::-1, :, ::-1]
    return [noisy(paint(112, 80) if n < 3 else there, n) for n in range(COUNT)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, still: list[Picture], jumping: list[Picture]) -> Path:
    """Both cameras' folders."""
    above = tmp_path_factory.mktemp("cameras")
    for name, pictures in (("jump.ing", jumping), ("<still>", still)):
        (above / name).mkdir()
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(above / name / f"{number}.png")
    return above


@pytest.fixture(scope="module")
def part(subject: Subject, folder: Path) -> dict[str, Any]:
    """The report's part about both cameras."""
    settings = sites.Settings(folder, QUALITIES, against=("avif",))
    return sites.measure(subject, find(folder), settings, Cache(None))


@pytest.fixture(scope="module")
def options(codec_folder: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command on both cameras, with a cache that the tests share."""
    given = ["validate", "--codec", str(codec_folder), "--sites", str(folder), "--decoder", "preview"]
    cache = tmp_path_factory.mktemp("cache") / "cache.sqlite"
    return [
        *given,
        "--qualities",
        *map(str, QUALITIES),
        "--jobs",
        "1",
        "--cache",
        str(cache),
        "--against",
        "avif",
    ]


def test_a_camera_that_stands_still_pays_for_its_first_picture_alone(part: dict[str, Any]) -> None:
    site = part["sequences"]["<still>"]
    assert (site["pictures"], site["width"], site["height"]) == (COUNT, 112, 80)
    for quality in map(str, QUALITIES):
        ours, alone = site["rows"]["memory"][quality], site["rows"]["none"][quality]
        assert [row["depth"] for row in ours][:2] == [0, 1]
        assert [row["depth"] for row in alone] == [0] * COUNT
        assert ours[0]["bytes"] == alone[0]["bytes"]
        assert sum(row["bytes"] for row in ours[1:]) < 0.9 * sum(row["bytes"] for row in alone[1:])
        taken = sum(row["bytes"] for row in ours) / sum(row["bytes"] for row in alone)
        assert site["saved"][quality] == pytest.approx(1 - taken)
        assert site["independent"][quality] == pytest.approx(1 / COUNT)
        assert site["depth"][quality] == pytest.approx(np.mean([row["depth"] for row in ours]))
        assert 1 <= site["back"][quality] <= 2
    assert site["differences"]["none"]["bd_rate"] < -0.1


def test_a_camera_that_jumps_begins_anew(part: dict[str, Any]) -> None:
    site = part["sequences"]["jump.ing"]
    for quality in map(str, QUALITIES):
        rows = site["rows"]["memory"][quality]
        assert [row["depth"] == 0 for row in rows] == [True, False, False, True, False, False]
        assert [row["back"] == 0 for row in rows] == [True, False, False, True, False, False]
        assert rows[3]["bytes"] == site["rows"]["none"][quality][3]["bytes"]
        assert site["independent"][quality] == pytest.approx(2 / COUNT)


def test_the_worst_sequence_is_named(part: dict[str, Any]) -> None:
    rates = {name: site["differences"]["none"]["bd_rate"] for name, site in part["sequences"].items()}
    assert part["worst"] == {"sequence": "jump.ing", "bd_rate": max(rates.values())}
    unknown = {name: dict(site) for name, site in part["sequences"].items()}
    unknown["<still>"]["differences"] = {"none": {"reason": "no curve"}}
    assert sites.worst(unknown) == {"sequence": "<still>", "reason": "no curve"}


def test_bounds_are_those_of_the_memory(subject: Subject, still: list[Picture], tmp_path: Path) -> None:
    memory = Memory(tmp_path, subject.codec, keep=1, max_depth=2)
    rows = sites.coded(subject, still, Rate(quality=40), memory, lambda: None)
    assert [row["depth"] for row in rows] == [0, 1, 2, 0, 1, 2]
    assert [row["back"] for row in rows] == [0, 1, 1, 0, 1, 1]


def test_equal_pictures_refer_to_each_other(subject: Subject, still: list[Picture], tmp_path: Path) -> None:
    memory = Memory(tmp_path, subject.codec)
    rows = sites.coded(subject, [still[0]] * 4, Rate(quality=40), memory, lambda: None)
    assert [row["depth"] != 0 for row in rows] == [False, True, True, True]
    assert max(row["bytes"] or 0 for row in rows[1:]) < 0.7 * (rows[0]["bytes"] or 0)


def test_the_report_has_tables_charts_and_lines(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], part: dict[str, Any]
) -> None:
    assert main([*options, "--report", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    figures = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert figures["pictures"] == []
    assert figures["sites"]["sequences"] == part["sequences"]
    assert figures["sites"]["settings"]["keep"] == 2
    short = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["sites"]["sequences"]
    assert "rows" not in short["<still>"]
    rate = f"{100 * part['sequences']['<still>']['differences']['none']['bd_rate']:+.1f} %"
    assert rate in told
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"<td>&lt;still&gt;</td><td>6 of 112x80</td><td>{rate}</td>" in page
    assert "<still>" not in page
    assert str(options[4]) not in page
    assert page.count('<figure class="chart" data-sequence=') == 2


def test_the_chart_shows_each_pictures_bytes(part: dict[str, Any]) -> None:
    site = part["sequences"]["<still>"]
    svg = ElementTree.fromstring(site_tables.chart("<still>", site))
    lines = {line.get("data-series"): line for line in svg.iter("{http://www.w3.org/2000/svg}polyline")}
    assert list(lines) == ["memory", "none", "avif"]
    assert {len((line.get("points") or "").split()) for line in lines.values()} == {COUNT}
    shown = [title.text for title in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert f"with memory: 2, {site['rows']['memory']['60'][1]['bytes']:.4g}" in shown


def test_thresholds_hold_sequences_and_the_worst(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = tmp_path / "require.toml"
    assert main([*options, "--write-require", str(held)]) == 0
    text = held.read_text(encoding="utf-8")
    assert 'figure = "sites.worst.bd_rate"\nat_most = 0.005\n' in text
    assert 'figure = "sites.sequences.jump.ing.differences.none.bd_rate"' in text
    assert main([*options, "--require", str(held)]) == 0
    held.write_text('[[require]]\nfigure = "sites.worst.bd_rate"\nat_most = -0.9\n', encoding="utf-8")
    assert main([*options, "--require", str(held)]) == validate.EXIT_MISSED
    assert "missed: sites.worst.bd_rate is -0." in capsys.readouterr().err


def test_video_codecs_are_measured_on_whole_sequences(
    subject: Subject, folder: Path, still: list[Picture]
) -> None:
    why = video.missing("x265")
    if why is not None:
        pytest.skip(why)
    settings = sites.Settings(folder, (40,), every=3, against=("x265",))
    site = sites.measure(subject, find(folder, 3), settings, Cache(None))["sequences"]["<still>"]
    setting = VIDEOS["x265"].settings[2]
    size, quality = video.measure("x265", [still[0], still[3]], setting)
    rows = site["rows"]["x265"][str(setting)]
    assert [row["bytes"] for row in rows] == [size / 2] * 2
    assert [row["psnr"] for row in rows] == pytest.approx(quality)
    assert site["curves"]["x265"][str(setting)]["bpp"] == pytest.approx(4 * size / (112 * 80))


def test_few_qualities_have_no_bd_rate_and_say_so(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = options.index("--qualities")
    command = [*options[:at], "--qualities", "40", "--every", "3", *options[at + 1 + len(QUALITIES) :]]
    held = tmp_path / "require.toml"
    held.write_text('[[require]]\nfigure = "sites.worst.bd_rate"\nat_most = 0.005\n', encoding="utf-8")
    assert main([*command, "--require", str(held)]) == validate.EXIT_MISSED
    caught = capsys.readouterr()
    assert "a curve needs at least 4 points" in caught.out
    assert "sites.worst.bd_rate was not measured" in caught.err


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (None, "does not exist: give a folder"),
        ({}, "no folders in .*give the folder above"),
        ({"a": []}, "no pictures in .*"),
        ({"a": [(40, 30)]}, "has one picture to measure, expected 2 or more"),
        ({"a": [(40, 30), (40, 31)]}, r"1\.png is 40x31, expected 40x30 as 0\.png is"),
    ],
)
def test_folders_that_are_no_cameras_are_refused(
    pictures: dict[str, list[tuple[int, int]]] | None, message: str, paint: Paint, tmp_path: Path
) -> None:
    above = tmp_path / "cameras"
    if pictures is not None:
        above.mkdir()
    for name, sizes in (pictures or {}).items():
        (above / name).mkdir()
        for number, (width, height) in enumerate(sizes):
            Image.fromarray(paint(width, height)).save(above / name / f"{number}.png")
    with pytest.raises(PictureError, match=message):
        [site.pictures() for site in find(above)]


def test_every_third_picture_is_the_first_and_the_fourth(folder: Path) -> None:
    assert [[path.name for path in site.paths] for site in find(folder, 3)] == [["0.png", "3.png"]] * 2


def test_without_ffmpeg_the_rest_is_measured(subject: Subject, folder: Path, programs: Path) -> None:
    settings = sites.Settings(folder, (40,), every=3)
    found = sites.measure(subject, find(folder, 3), settings, Cache(None))
    assert found["missing"] == dict.fromkeys(VIDEOS, "ffmpeg is not installed")
    assert "x265 medium, 4:4:4 was not measured: ffmpeg is not installed" in site_tables.lines(found)
    assert set(found["sequences"]["<still>"]["curves"]) == {"memory", "none", "avif"}


def test_a_video_codec_that_fails_is_told_of(subject: Subject, folder: Path, programs: Path) -> None:
    says = "echo 'ffmpeg version 9'; echo ' V libx265 HEVC'"
    program = programs / "ffmpeg"
    program.write_text(
        f'#!/bin/sh\n[ $# = 2 ] && {{ {says}; exit; }}\necho "too small" >&2; exit 1\n', encoding="utf-8"
    )
    program.chmod(0o755)
    video.clear()
    settings = sites.Settings(folder, (40,), every=3, against=("x265", "svt-av1"))
    found = sites.measure(subject, find(folder, 3), settings, Cache(None))
    assert found["missing"]["svt-av1"] == "ffmpeg 9 has no libsvtav1"
    assert found["missing"]["x265"].startswith("jump.ing: ffmpeg does not code these pictures: too small")
    assert set(found["sequences"]["<still>"]["curves"]) == {"memory", "none"}
