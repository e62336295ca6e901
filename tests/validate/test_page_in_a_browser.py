"""The report in headless Chromium: no console errors, the slider moves, charts have their series.

Needs a browser and Playwright, which drives the one that is installed:

    apt-get install chromium
    pip install playwright
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.bench.browser import BROWSERS, chromium
from heliograph.cli import main


@pytest.fixture(scope="module")
def page(
    codec_folder: Path, tmp_path_factory: pytest.TempPathFactory, paint: Any
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The page of a report in a browser without network, and the figures beside it."""
    pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("no Chromium here: apt-get install chromium")
    from PIL import Image

    folder = tmp_path_factory.mktemp("browser")
    (folder / "pictures").mkdir()
    for name, width in (("a", 200), ("b", 240)):
        Image.fromarray(paint(width, 180)).save(folder / "pictures" / f"{name}.png")
    command = ["validate", "--codec", str(codec_folder), "--images", str(folder / "pictures"), "--no-cache"]
    command += ["--decoder", "preview", "--qualities", "0", "30", "60", "95", "--jobs", "1", "--shown", "2"]
    command += ["--parts", "rate-distortion", "thin-links", "maps", "--report", str(folder / "report")]
    assert main(command) == 0
    with chromium() as started:
        context = started.new_context(offline=True)
        opened = context.new_page()
        opened.said = []
        opened.on("console", lambda message: opened.said.append(message.text))
        opened.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.on(
            "request",
            lambda request: (
                opened.said.append(request.url) if not request.url.startswith(("data:", "file:")) else None
            ),
        )
        opened.goto((folder / "report/report.html").as_uri())
        opened.wait_for_load_state("load")
        yield opened, json.loads((folder / "report/report.json").read_text(encoding="utf-8"))
        assert opened.said == []  # after everything the tests did


def loaded(page: Any, selector: str) -> list[bool]:
    """Return of each picture whether the browser could decode it."""
    page.wait_for_function(
        f"[...document.querySelectorAll('{selector}')].every((i) => i.complete)", timeout=5000
    )
    found: list[bool] = page.eval_on_selector_all(selector, "e => e.map((i) => i.naturalWidth > 0)")
    return found


def test_it_opens_without_errors(page: tuple[Any, dict[str, Any]]) -> None:
    opened, figures = page
    assert figures["codec"]["id"] in opened.title()
    assert opened.said == []


def test_charts_have_their_series(page: tuple[Any, dict[str, Any]]) -> None:
    opened, figures = page
    for quantity in ("psnr", "psnr_y", "ms_ssim"):
        lines = opened.eval_on_selector_all(
            f"figure[data-quantity={quantity}] polyline",
            "e => e.map((p) => [p.dataset.series, p.points.numberOfItems, p.getTotalLength()])",
        )
        curves = figures["rate_distortion"]["curves"]
        assert {name for name, _, _ in lines} == set(curves)
        for name, points, length in lines:
            assert points == len(curves[name])
            assert length > 50


def test_the_slider_moves_the_border(page: tuple[Any, dict[str, Any]]) -> None:
    opened, _ = page
    assert loaded(opened, "#slider img") == [True, True]

    def border() -> tuple[str, float]:
        box = opened.locator("#edge").bounding_box()
        return opened.eval_on_selector("#over", "e => getComputedStyle(e).clipPath"), box["x"]

    opened.fill("#place", "20")
    first, x_first = border()
    opened.fill("#place", "80")
    second, x_second = border()
    assert first == "inset(0px 80% 0px 0px)"
    assert second == "inset(0px 20% 0px 0px)"
    width = opened.locator("#slider").bounding_box()["width"]
    assert x_second - x_first == pytest.approx(0.6 * width, abs=2)


def test_every_codec_can_be_shown_on_either_side(page: tuple[Any, dict[str, Any]]) -> None:
    opened, _ = page
    assert opened.locator("#sheet option").count() == 6  # two pictures at two qualities, and thin links' two
    for sheet in range(4):
        opened.select_option("#sheet", str(sheet))
        labels = opened.locator("#left option").all_inner_texts()
        assert labels[:2] == ["original", "Heliograph, preview decoder"]
        for number, label in enumerate(labels):
            opened.select_option("#left", str(number))
            assert loaded(opened, "#slider img") == [True, True]
            assert opened.locator("#left-caption").inner_text().startswith(f"{label}: ")
        assert loaded(opened, "#maps img") == [True] * 4
    captions = " ".join(opened.locator("#maps figcaption").all_inner_texts())
    assert "where the bits went" in captions
    assert "layer 4" in captions


def test_what_is_shown_is_kept_where_the_next_picture_has_it(page: tuple[Any, dict[str, Any]]) -> None:
    opened, _ = page
    opened.select_option("#sheet", "0")
    opened.select_option("#left", label="original")
    opened.select_option("#right", label="AVIF, speed 6")
    opened.select_option("#sheet", "4")
    assert "in 1000 bytes" in opened.locator("#sheet option:checked").inner_text()
    assert opened.locator("#left-caption").inner_text().startswith("original: ")
    assert opened.locator("#right-caption").inner_text().startswith("AVIF, speed 6: ")
    assert loaded(opened, "#slider img") == [True, True]
    assert not opened.locator("#why").is_visible()  # no maps of it
    opened.select_option("#sheet", "5")  # of lost packets: JPEG alone is beside ours
    assert opened.locator("#left-caption").inner_text().startswith("original: ")
    assert opened.locator("#right-caption").inner_text().startswith("Heliograph, preview decoder: ")
    assert loaded(opened, "#slider img") == [True, True]
    opened.select_option("#sheet", "0")
    assert opened.locator("#why").is_visible()


def test_it_fits_a_phone(page: tuple[Any, dict[str, Any]]) -> None:
    opened, _ = page
    before = opened.viewport_size
    opened.set_viewport_size({"width": 390, "height": 844})
    opened.eval_on_selector_all("details", "all => all.forEach((one) => { one.open = true; })")
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    edges = "all => all.map((one) => one.getBoundingClientRect().right)"
    assert max(opened.eval_on_selector_all("h1, h2, p, nav, svg, img, select, input, table", edges)) <= 390
    wide = "all => all.filter((one) => one.scrollWidth > one.clientWidth).length"
    assert opened.eval_on_selector_all("table", wide) > 0  # what is wider is moved by itself
    opened.eval_on_selector_all("details", "all => all.forEach((one) => { one.open = false; })")
    opened.set_viewport_size(before)
