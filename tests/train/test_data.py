"""Training pictures: what is found in a folder, what is said when there is none, and that a seed repeats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from heliograph.cli import main
from heliograph.errors import PictureError
from heliograph.pictures import list_pictures
from heliograph.samples import copy_samples
from heliograph.train.data import Crops


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_samples(tmp_path_factory.mktemp("photos"))


def test_an_empty_photo_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, out = tmp_path / "photos", tmp_path / "run"
    photos.mkdir()
    (photos / "notes.txt").write_text("none here", encoding="utf-8")
    assert main(["train", "--photos", str(photos), "--out", str(out), "--minutes", "1"]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"heliograph: error: no pictures in {photos}: expected files ending in ")
    assert message.endswith("give another folder")
    assert not out.exists()


def test_a_missing_photo_folder(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"folder .*none does not exist: give a folder of pictures"):
        list_pictures(tmp_path / "none")


def test_pictures_are_found_in_folders_below(tmp_path: Path) -> None:
    copy_samples(tmp_path / "a" / "b")
    assert len(list_pictures(tmp_path)) == 11


def test_a_seed_gives_the_same_crops(photos: Path) -> None:
    first, second, other = (Crops(photos, batch=2, size=32, steps=4, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first[3][0]["image"], second[3][0]["image"])
    assert not np.array_equal(first[3][0]["image"], first[2][0]["image"])
    assert not np.array_equal(first[3][0]["image"], other[3][0]["image"])


def test_crops_have_the_size_asked_for(photos: Path) -> None:
    batch, _ = Crops(photos, batch=3, size=48, steps=1, seed=1)[0]
    assert batch["image"].shape == (3, 48, 48, 3)
    assert batch["image"].dtype == np.uint8
    assert batch["quality"].shape == (3, 1)
