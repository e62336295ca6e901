"""The bench of lost packets: more loss never makes pictures better."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.bench.loss import main

Picture = npt.NDArray[np.uint8]


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
