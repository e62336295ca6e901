"""Thin links in a validation: the small codec on few small pictures, the page, the summary, the cache."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.codec.rate import Rate
from heliograph.measure import tiny
from heliograph.measure.cache import Cache
from heliograph.measure.metrics import psnr
from heliograph.validate import thin_link_tables, thin_links
from heliograph.validate.subject import Subject

Picture = npt.NDArray[np.uint8]
Paint = Callable[[int, int], Picture]
SHARES = ["0", "5", "10", "20", "40"]


@pytest.fixture(scope="module")
def options(codec_folder: Path, tmp_path_factory: pytest.TempPathFactory, paint: Paint) -> list[str]:
    """The command on three pictures, one too small for packets, with a cache that the tests share."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, width, height in (("<wide>", 320, 200), ("small", 33, 17), ("tall", 180, 260)):
        Image.fromarray(paint(width, height)).save(folder / f"{name}.png")
    cache = tmp_path_factory.mktemp("cache") / "cache.sqlite"
    given = ["validate", "--codec", str(codec_folder), "--images", str(folder), "--decoder", "preview"]
    return [*given, "--parts", "thin-links", "--cache", str(cache)]


@pytest.fixture(scope="module")
def report(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with this part alone."""
    folder = tmp_path_factory.mktemp("reports") / "report"
    assert main([*options, "--report", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def part(report: Path) -> dict[str, Any]:
    """What report.json has of it."""
    found: dict[str, Any] = json.loads((report / "report.json").read_text(encoding="utf-8"))["thin_links"]
    return found


def sheets(folder: Path) -> list[dict[str, Any]]:
    """Return the pictures of a page."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = json.loads(re.findall(r'id="sheets">(.*)</script>', page)[0])["sheets"]
    return found


def test_small_pictures_beside_others(part: dict[str, Any], subject: Subject, paint: Paint) -> None:
    small = part["small"]
    assert list(small["budgets"]) == ["300", "500", "1000", "2000", "3000"]
    assert list(small["labels"]) == ["heliograph", "avif", "avif-psnr", "webp", "jpeg"]
    picture = tiny.small(paint(320, 200))
    data = subject.encoder.pack(picture, Rate(max_bytes=1000)).data
    shown = tiny.coded(lambda *of: data, subject.codec, subject.decode)(picture, 1000)
    assert shown is not None
    assert len(data) <= 1000
    assert small["rows"]["heliograph"][0][2] == [pytest.approx(psnr(picture, shown)), None]
    for at, (budget, row) in enumerate(small["budgets"].items()):
        assert row["heliograph"]["fit"] == row["heliograph"]["of"] == 3
        ours = [of[at][0] for of in small["rows"]["heliograph"]]
        assert row["heliograph"]["psnr"] == pytest.approx(np.mean(ours))
        theirs = [of[at] for of in small["rows"]["jpeg"]]
        assert row["jpeg"]["fit"] == sum(one is not None for one in theirs)
        above = [a - b[0] for a, b in zip(ours, theirs, strict=True) if b]
        if above:
            assert row["jpeg"]["psnr_above"] == pytest.approx(np.mean(above))
        assert row["jpeg"]["ssimulacra2"] is None, budget  # nobody asked
    assert small["budgets"]["300"]["jpeg"]["fit"] == 0  # a JPEG file has 600 bytes of tables
    assert small["budgets"]["300"]["jpeg"]["psnr"] is None


def test_what_is_left_when_packets_are_lost(part: dict[str, Any]) -> None:
    lost = part["lost"]
    assert [row["name"] for row in lost["rows"]] == ["<wide>.png", "tall.png"]
    assert [row["packets"] for row in lost["rows"]] == [16, 11]  # 33,280 and 24,336 bits
    assert list(lost["left_out"]) == ["small.png"]
    assert "0 packets, expected 1 to" in lost["left_out"]["small.png"]
    assert list(lost["bursts"]) == ["1", "5"]
    for burst, shares in lost["bursts"].items():
        assert list(shares) == SHARES
        for share, row in shares.items():
            draws = [np.array(of["draws"][burst][share]) for of in lost["rows"]]
            assert all(len(of) == (thin_links.SEEDS if share != "0" else 1) for of in draws)
            for n, name in enumerate(("heliograph", "jpeg")):
                assert row[name]["psnr"] == pytest.approx(np.mean([of[:, n].mean() for of in draws]))
                below = [of[:, n].mean() - np.percentile(of[:, n], 10) for of in draws]
                assert row[name]["below"] == pytest.approx(np.mean(below), abs=1e-9)
        assert shares["0"]["heliograph"]["psnr"] >= shares["40"]["heliograph"]["psnr"]
        assert shares["40"]["heliograph"]["psnr"] > shares["40"]["jpeg"]["psnr"]


def test_the_page_shows_both(report: Path, part: dict[str, Any]) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    assert '<h2 id="thin-links">' in page
    assert re.findall(r'data-thin="(\w+)"', page) == ["psnr", "lost"]
    assert "<wide>" not in page
    assert "small.png was not sent in packets: 0 packets" in page
    in_bytes, lost = sheets(report)
    assert in_bytes["title"] == "small.png, 33x17 in 1000 bytes"
    assert [panel["name"] for panel in in_bytes["panels"]] == ["original", "preview", "jpeg", "webp", "avif"]
    assert lost["title"] == "tall.png, 20% of packets lost"
    assert [panel["name"] for panel in lost["panels"]] == ["original", "preview", "jpeg"]
    draws = part["lost"]["rows"][1]["draws"]["1"]["20"]
    ours, jpeg = sorted(draws)[len(draws) // 2][0], lost["panels"][2]["caption"]
    assert lost["panels"][1]["caption"].endswith(f" of 11 packets, {ours:.2f} dB")
    assert float(jpeg.split()[-2]) in [round(theirs, 2) for _, theirs in draws]
    assert in_bytes["maps"] == lost["maps"] == []


def test_the_summary_keeps_the_figures_without_rows(report: Path, part: dict[str, Any]) -> None:
    found = json.loads((report / "summary.json").read_text(encoding="utf-8"))["thin_links"]
    assert "rows" not in found["small"]
    assert "rows" not in found["lost"]
    for budget, row in part["small"]["budgets"].items():
        assert found["small"]["budgets"][budget]["avif"]["fit"] == row["avif"]["fit"]
    left = part["lost"]["bursts"]["5"]["20"]["heliograph"]["psnr"]
    assert found["lost"]["bursts"]["5"]["20"]["heliograph"]["psnr"] == pytest.approx(left, rel=1e-5)


def test_a_second_run_measures_nothing(
    options: list[str],
    report: Path,
    part: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*options, "--report", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (found["cache"]["misses"], found["cache"]["hits"]) == (1, 19)  # what has no packets is tried again
    assert found["thin_links"] == part
    assert sheets(tmp_path) == sheets(report)
    out = capsys.readouterr().out
    assert "256 pixels in few bytes" in out
    assert "JPEG, optimised, sent once, bursts of 5" in out


def test_thresholds_reach_its_figures(options: list[str], report: Path, tmp_path: Path) -> None:
    held = tmp_path / "require.toml"
    figures = "thin_links.lost.bursts.1.20.heliograph.psnr", "thin_links.small.budgets.1000.avif.psnr_above"
    text = "".join(f'[[require]]\nfigure = "{figure}"\nat_least = -50\n' for figure in figures)
    held.write_text(text, encoding="utf-8")
    assert main([*options, "--require", str(held)]) == 0


def test_one_that_fails_leaves_the_others(
    subject: Subject, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finest(name: str) -> Any:
        def shown(picture: Picture, budget: int) -> Picture:
            if name == "avif":
                raise OSError("encoder error")
            return picture

        return shown

    monkeypatch.setattr(tiny, "finest", finest)
    found, shown = thin_links.measure(subject, ["a"], [paint(64, 48)], Cache(None), against=("avif", "jpeg"))
    assert found["small"]["left_out"] == {"avif": "OSError: encoder error"}
    assert list(found["small"]["labels"]) == ["heliograph", "jpeg"]
    assert found["small"]["budgets"]["300"]["jpeg"]["psnr"] == 100  # equal pictures have a mean too
    assert found["lost"]["bursts"] == {}
    assert len(shown) == 1
    page = "".join(thin_link_tables.section({"thin_links": found}))
    assert "avif was not measured: OSError: encoder error" in page
    assert "When packets are lost" not in page


def test_at_most_six_pictures(subject: Subject, paint: Paint) -> None:
    names = [f"{n}.png" for n in range(12)]
    found, _ = thin_links.measure(subject, names, [paint(17, 16)] * 12, Cache(None), against=())
    assert found["pictures"] == [f"{n}.png" for n in (0, 2, 4, 7, 9, 11)]
    assert list(found["small"]["labels"]) == ["heliograph"]
