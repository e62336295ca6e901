"""Packets on the command line: written as files, some of them lost and mixed, decoded to the best pictures."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.packets.packet import device_number

Picture = npt.NDArray[np.uint8]


@pytest.fixture
def pictures(tmp_path: Path, paint: Callable[[int, int], Picture]) -> list[Path]:
    out = []
    for number, (width, height) in enumerate([(97, 61), (64, 80)]):
        out.append(tmp_path / f"{number}.png")
        Image.fromarray(paint(width, height)).save(out[-1])
    return out


@pytest.fixture
def encode(codec_folder: Path) -> Callable[..., int]:
    def run(*arguments: object) -> int:
        return main(["encode", "--codec", str(codec_folder), "--device", "cam", *map(str, arguments)])

    return run


@pytest.fixture
def decode(codec_folder: Path) -> Callable[..., int]:
    def run(*arguments: object) -> int:
        command = ["decode", "--codec", str(codec_folder), "--decoder", "preview"]
        return main([*command, *map(str, arguments)])

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.packet"))


def test_what_arrives_of_two_pictures(
    pictures: list[Path],
    tmp_path: Path,
    encode: Callable[..., int],
    decode: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent, out = tmp_path / "sent", tmp_path / "out"
    options = ["--packets", 30, "--packet-bytes", 64, "--loss", "0.2", "--burst", "2"]
    assert encode(*pictures, "-o", sent, *options) == 0
    files = names(sent)
    assert len(files) == 60
    assert all(path.stat().st_size == 64 for path in sent.glob("*.packet"))
    stems = sorted({name.rpartition("-")[0] for name in files})
    assert [stem.partition("-")[0] for stem in stems] == [f"{device_number('cam'):05d}"] * 2
    draw = random.Random(1)
    for stem in stems:
        for name in draw.sample([file for file in files if file.startswith(stem)], 9):
            (sent / name).unlink()
    capsys.readouterr()
    assert decode(sent, "-o", out) == 0
    assert sorted(path.name for path in out.iterdir()) == [f"{stem}.png" for stem in stems]
    with Image.open(out / f"{stems[0]}.png") as first, Image.open(out / f"{stems[1]}.png") as second:
        assert (first.size, second.size) == ((97, 61), (64, 80))
    assert capsys.readouterr().err.endswith("heliograph: 2 decoded\n")


def test_fewer_and_fewer_packets(
    pictures: list[Path],
    tmp_path: Path,
    encode: Callable[..., int],
    decode: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent = tmp_path / "sent"
    assert encode(pictures[0], "-o", sent, "--packets", 40, "--packet-bytes", 51) == 0
    files, told = names(sent), []
    random.Random(2).shuffle(files)
    while True:
        code = decode(sent, "-o", tmp_path / "one.png")
        told.append(capsys.readouterr())
        if code:
            break
        (sent / files.pop()).unlink()
    assert "layers are there" not in told[0].err
    assert "more packets give the next" in "".join(one.err for one in told)
    assert "no picture in the packets of" in told[-1].err
    assert len(files) < 30
    assert (tmp_path / "one.png").is_file()


def test_with_a_key(
    pictures: list[Path],
    tmp_path: Path,
    encode: Callable[..., int],
    decode: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    key, other, sent = tmp_path / "key", tmp_path / "other", tmp_path / "sent"
    assert main(["send", "--new-key", str(key)]) == main(["send", "--new-key", str(other)]) == 0
    options = ["--packets", 3, "--packet-bytes", 340, "--key-file", key]
    assert encode(pictures[0], "-o", sent, *options) == 0
    assert decode(sent, "-o", tmp_path / "a.png") == decode(sent, "--key-file", other) == 2
    assert capsys.readouterr().err.count("3 packets are damaged, of another key, or of no picture") == 2
    assert decode(sent, "-o", tmp_path / "a.png", "--key-file", key) == 0


def test_streams_beside_packets(
    pictures: list[Path], tmp_path: Path, encode: Callable[..., int], decode: Callable[..., int]
) -> None:
    place, out = tmp_path / "place", tmp_path / "out"
    assert encode(pictures[0], "-o", place / "a.helio") == 0
    assert encode(pictures[1], "-o", place, "--packets", 4) == 0
    (place / "noise.packet").write_bytes(bytes(100))
    assert decode(place, "-o", out) == 0
    assert len(list(out.iterdir())) == 2
    assert (out / "a.png").is_file()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--loss", "0.1"], "--loss is for packets: give --packets N too"),
        (["--packets", 5, "--max-bytes", 300, "-o", "x"], "--max-bytes and --packets exclude each other"),
        (["--packets", 5, "--memory", "m", "-o", "x"], "--memory and --packets exclude each other"),
        (["--packets", 5], "--packets needs a folder for the packets: -o DIR"),
        (["--packets", 5, "-o", "x", "--packet-bytes", 20], "packets of 20 bytes, expected 24 to 1400"),
        (["--packets", 5, "-o", "x", "--loss", "1"], "loss is 1, expected 0 to 0.9"),
        (["--packets", 1, "-o", "x", "--packet-bytes", 24], "give another|raise it|no room"),
    ],
    ids=["alone", "bytes", "memory", "out", "small", "loss", "room"],
)
def test_options_that_do_not_go(
    options: list[object],
    reason: str,
    pictures: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encode: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert encode(pictures[0], *options) == 2
    error = capsys.readouterr().err
    assert any(one in error for one in reason.split("|")), error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.rglob("*.packet"))
