"""The bench of lost packets: its channel, its means, and that more loss never makes pictures better."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.bench.loss import arriving, cut_jpeg, main, row
from heliograph.measure.baselines import encode

Picture = npt.NDArray[np.uint8]


def test_the_channel_loses_what_it_should() -> None:
    for burst in (1.0, 5.0):
        lost = [not there for seed in range(20) for there in arriving(500, 0.2, burst, seed)]
        begun = sum(b and not a for a, b in zip([False, *lost], lost, strict=False))
        assert np.mean(lost) == pytest.approx(0.2, abs=0.02)
        assert sum(lost) / begun == pytest.approx(max(burst, 1 / 0.8), rel=0.1)
    assert all(arriving(100, 0.0, 5.0, 1))


def test_rows_by_hand() -> None:
    found = row([[20.0, 30.0], [10.0, 10.0]])
    assert found.psnr == pytest.approx((25 + 10) / 2)
    assert found.below == pytest.approx((25 - 21 + 0) / 2)  # a tenth of the way from 20 to 30


def test_a_cut_jpeg(paint: Callable[[int, int], Picture]) -> None:
    data = encode("jpeg", paint(256, 192), 50)
    whole, half = cut_jpeg(data), cut_jpeg(data[: len(data) * 4 // 5])
    assert whole is not None
    assert half is not None
    assert np.array_equal(whole[:8], half[:8])
    assert not np.array_equal(whole[-8:], half[-8:])
    assert cut_jpeg(data[:20]) is None


def test_tables(
    codec_folder: Path,
    tmp_path: Path,
    paint: Callable[[int, int], Picture],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.fromarray(paint(97, 61)).save(tmp_path / "a.png")
    options = ["--codec", str(codec_folder), "--decoder", "preview", "--bpp", "2", "--packet-bytes", "51"]
    assert (
        main([str(tmp_path / "a.png"), *options, "--lost", "0", "0.9", "--bursts", "1", "--seeds", "3"]) == 0
    )
    out = capsys.readouterr().out
    assert out.startswith(
        "packets of 51 bytes, 29 to 29 a picture, 2 bits per pixel, planned for 10%; streams of "
    )
    none, most = (float(text) for text in re.findall(r"lost, bursts of 1: +([\d.]+) dB", out))
    assert none > most
    assert main([str(tmp_path / "none.png"), *options]) == 2
    assert capsys.readouterr().err.startswith("error: ")
