"""Picture by picture: each one's own curves, the worst named."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.measure.rate_distortion import Rows
from heliograph.validate import picture_by_picture


def rows(*factors: float) -> Rows:
    """Return curves that take these factors of the bits of a line of 6 dB a bit, one for each picture."""
    return {
        setting: [{"bpp": bpp * factor, "psnr": 20 + 6 * bpp, "psnr_y": 21 + 6 * bpp} for factor in factors]
        for setting, bpp in enumerate((0.25, 0.5, 1.0, 2.0, 4.0))
    }


@pytest.fixture
def figures() -> dict[str, Any]:
    series = {"server": rows(0.5, 1.25, 0.75), "avif": rows(1, 1, 1), "server2": rows(1, 1, 1)}
    return {
        "pictures": [{"name": name} for name in ("a.png", "<b>.png", "c.png")],
        "rate_distortion": {
            "labels": {"avif": "AVIF"},
            "by_picture": picture_by_picture.measure(series, "server", ["avif", "webp"]),
        },
    }


def test_each_picture_counts_as_much(figures: dict[str, Any]) -> None:
    by_rgb, by_luminance = picture_by_picture.spreads(figures)  # nobody measured SSIMULACRA2
    assert (by_rgb.quantity, by_luminance.quantity) == ("PSNR over RGB", "PSNR of luminance")
    assert by_rgb.mean == pytest.approx((-0.5 + 0.25 - 0.25) / 3)
    assert by_rgb.worst == pytest.approx(0.25)
    assert (by_rgb.worst_picture, by_rgb.better, by_rgb.pictures) == ("<b>.png", 2, 3)


def test_the_page_and_the_terminal_name_the_worst(figures: dict[str, Any]) -> None:
    assert "<td>-16.7 %</td><td>+25.0 %</td>" in "".join(picture_by_picture.section(figures))
    assert "&lt;b&gt;.png" in "".join(picture_by_picture.section(figures))
    head, line = picture_by_picture.lines(figures)[1:3]
    assert head == "picture by picture, BD-rate of each picture's own curves against"
    assert " ".join(line.split()) == (
        "AVIF PSNR over RGB mean -16.7 %, worst +25.0 % (<b>.png), better on 2 of 3"
    )


def test_without_others_there_is_nothing_to_say(figures: dict[str, Any]) -> None:
    figures["rate_distortion"]["by_picture"] = {}
    assert not list(picture_by_picture.section(figures))
    assert picture_by_picture.lines(figures) == []
