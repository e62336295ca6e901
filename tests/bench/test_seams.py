"""The measure of seams."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.bench.seams import main, near_borders, seam_errors


def test_pixels_near_borders() -> None:
    assert np.flatnonzero(near_borders(20, 8, reach=1)).tolist() == [7, 8, 15, 16]
    assert np.flatnonzero(near_borders(20, 8, reach=1, start=4)).tolist() == [3, 4, 11, 12]
    assert not near_borders(8, 8, reach=1).any()


def test_even_error_is_no_seam_and_doubled_error_at_borders_is_four_times_as_much() -> None:
    rng = np.random.default_rng(0)
    original = rng.integers(40, 200, (512, 512, 3)).astype(np.uint8)  # content must cancel
    seam, free = seam_errors(original, original + 2, original[128:, 128:] + 2, 256)
    assert seam == free > 0

    def seamed(picture: np.ndarray, border: int) -> np.ndarray:
        out = picture + 2
        for place in (np.s_[border - 16 : border + 16], np.s_[:, border - 16 : border + 16]):
            out[place] = picture[place] + 4
        return out

    seam, free = seam_errors(original, seamed(original, 256), seamed(original[128:, 128:], 256), 256)
    assert seam == 4 * free


def test_the_ratio_is_printed_for_each_quality(
    codec_folder: Path,
    tmp_path: Path,
    paint: Callable[[int, int], npt.NDArray[np.uint8]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.fromarray(paint(448, 432)).save(
        tmp_path / "photo.png"
    )  # tiles of 256: one border each way on both grids
    assert main([str(codec_folder), str(tmp_path / "photo.png")]) == 0
    found = re.findall(r"quality +(\d+): error along tile borders ([+-][\d.]+)%", capsys.readouterr().out)
    assert [int(quality) for quality, _ in found] == [20, 50, 80]
    assert all(-100 < float(ratio) < 1000 for _, ratio in found)


def test_what_is_no_picture_is_named(
    codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    assert main([str(codec_folder), str(bad)]) == 2
    assert f"{bad} is not a picture" in capsys.readouterr().err
