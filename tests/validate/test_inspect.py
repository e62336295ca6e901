"""The command `heliograph inspect` on a stream of the small codec."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.commands import inspect


def test_text_alone(stream: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(stream), "--codec", str(codec_folder)]) == 0
    out = capsys.readouterr().out
    size = len(stream.read_bytes())
    assert f"{size} bytes" in out
    rest = int(re.findall(r"not symbols +(\d+) bytes", out)[0])
    layers = [int(n) for n in re.findall(r"layer \d +(\d+) bytes", out)]
    assert len(layers) == 4
    assert rest + sum(layers) == pytest.approx(size, abs=3)
    assert "inf dB to the whole stream's picture" in out  # the last layer is the whole
    assert not list(stream.parent.glob("*-bits.png"))


def test_maps_are_written_and_not_overwritten(
    stream: Path,
    photo: Path,
    codec_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "maps"
    command = ["inspect", str(stream), "--codec", str(codec_folder), "-o", str(out)]
    assert main([*command, "--original", str(photo)]) == 0
    sizes = {}
    for name in inspect.MAPS:
        with Image.open(out / f"{stream.stem}-{name}.png") as picture:
            sizes[name] = picture.size
    assert sizes["picture"] == sizes["bits"] == sizes["error"] == (97, 61)
    assert sizes["layers"] == (4 * 97 + 3 * 4, 61)
    assert "dB to the original" in capsys.readouterr().out
    assert main(command) == 2
    assert "exists already; use --force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


def test_the_error_is_zero_where_the_picture_is_its_own_original(
    stream: Path, codec_folder: Path, tmp_path: Path
) -> None:
    command = ["inspect", str(stream), "--codec", str(codec_folder), "-o", str(tmp_path / "maps")]
    assert main(command) == 0
    shown = tmp_path / "maps" / f"{stream.stem}-picture.png"
    assert main([*command, "--force", "--original", str(shown)]) == 0
    with Image.open(tmp_path / "maps" / f"{stream.stem}-error.png") as picture:
        assert np.unique(np.asarray(picture).reshape(-1, 3), axis=0).tolist() == [[0, 0, 4]]


def test_another_picture_is_no_original(
    stream: Path, codec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.png"
    Image.new("RGB", (30, 20)).save(other)
    assert main(["inspect", str(stream), "--codec", str(codec_folder), "--original", str(other)]) == 2
    assert (
        "is 30x20, the stream's picture 97x61; give the picture that was encoded" in capsys.readouterr().err
    )


def test_a_cut_stream_is_refused(
    stream: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream.write_bytes(stream.read_bytes()[:-5])
    assert main(["inspect", str(stream), "--codec", str(codec_folder)]) == 2
    assert "stream is cut" in capsys.readouterr().err
