"""`heliograph encode` on folders: what has a stream is passed over, and names do not depend on what came first."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from heliograph.cli import main


@pytest.fixture
def folder(photo: Path, tmp_path: Path) -> Path:
    """A folder of pictures, one in a folder of its own, one hidden, and a text."""
    place = tmp_path / "photos"
    (place / "cam2").mkdir(parents=True)
    for name in ("a.png", "B.PNG", "cam2/a.png", ".hidden.png"):
        shutil.copy(photo, place / name)
    (place / "notes.txt").write_text("mine", encoding="utf-8")
    return place


@pytest.fixture
def command(folder: Path, codec_folder: Path, tmp_path: Path) -> list[str]:
    return ["encode", str(folder), "-o", str(tmp_path / "out"), "--codec", str(codec_folder)]


def made(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*.helio"))


def test_streams_of_a_folder_keep_their_places_and_are_made_once(
    folder: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(command) == 0
    assert made(out) == ["B.helio", "a.helio", "cam2/a.helio"]
    assert capsys.readouterr().err.splitlines()[-1] == "heliograph: 3 encoded"
    before = (out / "a.helio").stat().st_mtime_ns
    (out / "B.helio").unlink()
    assert main(command) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert printed.err == (
        "heliograph: 1 encoded; 2 left out because their streams exist (--force encodes them again)\n"
    )
    assert (out / "a.helio").stat().st_mtime_ns == before
    assert main([*command, "--force"]) == 0
    assert (out / "a.helio").stat().st_mtime_ns > before


def test_pictures_of_one_stem_are_named_apart_and_the_same_in_every_run(
    folder: Path, photo: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(command) == 0
    Image.open(photo).save(folder / "a.jpg")  # comes later: its stream must not be taken for that of a.png
    assert main(command) == 0
    assert made(out) == ["B.helio", "a.helio", "a.jpg.helio", "a.png.helio", "cam2/a.helio"]
    capsys.readouterr()
    assert main(command) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err.split(";")[0]) == ("", "heliograph: 0 encoded")


def test_one_bad_picture_of_a_folder_is_named_and_tried_again(
    folder: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "half.jpg").write_bytes(b"\xff\xd8\xff half")
    for _ in range(2):
        assert main(command) == 2
        assert capsys.readouterr().err.splitlines()[-1].endswith(f"1 failed: {folder}/half.jpg")
    assert made(tmp_path / "out") == ["B.helio", "a.helio", "cam2/a.helio"]


def test_many_results_need_a_folder(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    assert main(command) == 2
    assert f"{tmp_path}/out is a file, expected a folder for many results" in capsys.readouterr().err
