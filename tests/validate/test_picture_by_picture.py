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


NAMES = ("dark/a.png", "dark/<b>.png", "c.png")


@pytest.fixture
def figures() -> dict[str, Any]:
    series = {"server": rows(0.5, 1.25, 0.75), "avif": rows(1, 1, 1), "server2": rows(1, 1, 1)}
    return {
        "pictures": [{"name": name} for name in NAMES],
        "rate_distortion": {
            "labels": {"avif": "AVIF"},
            "by_picture": picture_by_picture.measure(series, "server", ["avif", "webp"], NAMES),
        },
    }


def test_each_picture_counts_as_much(figures: dict[str, Any]) -> None:
    by_rgb, by_luminance, dark, _ = picture_by_picture.spreads(figures)  # nobody measured SSIMULACRA2
    assert (by_rgb.quantity, by_luminance.quantity) == ("PSNR over RGB", "PSNR of luminance")
    assert by_rgb.mean == pytest.approx((-0.5 + 0.25 - 0.25) / 3)
    assert by_rgb.worst == pytest.approx(0.25)
    assert (by_rgb.of, by_rgb.worst_picture, by_rgb.better, by_rgb.pictures) == ("all", "dark/<b>.png", 2, 3)
    assert dark.mean == pytest.approx(-0.125)
    assert (dark.of, dark.better, dark.pictures) == ("dark", 1, 2)
    measured = figures["rate_distortion"]["by_picture"]["avif"]
    assert measured["psnr"]["mean"] == by_rgb.mean
    assert measured["psnr"]["classes"] == {"dark": pytest.approx(-0.125)}
    assert measured["ssimulacra2"] == {"rates": [None] * 3}


def test_the_page_and_the_terminal_name_the_worst(figures: dict[str, Any]) -> None:
    page = "".join(picture_by_picture.section(figures))
    assert "<td>-16.7 %</td><td>+25.0 %</td>" in page
    assert page.index("dark/&lt;b&gt;.png</td><td>+25.0 %") < page.index("<td>c.png</td><td>-25.0 %")
    head, line, _, _, of, dark, _ = picture_by_picture.lines(figures)[1:]
    assert head == "picture by picture, BD-rate of each picture's own curves against"
    assert " ".join(line.split()) == (
        "AVIF PSNR over RGB mean -16.7 %, worst +25.0 % (dark/<b>.png), better on 2 of 3"
    )
    assert of == "of dark"
    assert " ".join(dark.split()) == (
        "AVIF PSNR over RGB mean -12.5 %, worst +25.0 % (dark/<b>.png), better on 1 of 2"
    )


def test_pictures_are_in_order_of_what_they_lack(figures: dict[str, Any]) -> None:
    assert picture_by_picture.order(figures) == ("avif", "psnr", [1, 2, 0])
    measured = figures["rate_distortion"]["by_picture"]
    measured["avif"]["ssimulacra2"]["rates"] = [0.5, None, 0.75]
    measured["webp"] = {name: {"rates": [1.0, 0.0, 0.0]} for name in picture_by_picture.QUANTITIES}
    assert picture_by_picture.order(figures) == ("avif", "ssimulacra2", [2, 0, 1])
    del measured["avif"]
    assert picture_by_picture.order(figures) == ("webp", "ssimulacra2", [0, 1, 2])
    assert picture_by_picture.order({}) == ("", "", [])


def test_without_others_there_is_nothing_to_say(figures: dict[str, Any]) -> None:
    figures["rate_distortion"]["by_picture"] = {}
    assert not list(picture_by_picture.section(figures))
    assert picture_by_picture.lines(figures) == []
