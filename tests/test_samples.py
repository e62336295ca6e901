"""The list of sample pictures against what scikit-image really carries."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph import samples
from heliograph.errors import PictureError
from heliograph.pictures import load_srgb


def test_every_listed_picture_is_there_and_reads() -> None:
    paths = samples.sample_pictures()
    assert len(paths) == len(samples.listed()) == 11
    assert all(min(load_srgb(path).shape[:2]) >= 300 for path in paths)


def test_colour_pictures_have_colour() -> None:
    for path in samples.sample_pictures(colour_only=True):
        picture = load_srgb(path).astype(int)
        assert abs(picture[..., 0] - picture[..., 2]).max() > 50


def test_only_free_licences_are_listed() -> None:
    assert {sample.licence for sample in samples.listed()} == {"CC0-1.0", "public domain"}


def test_a_changed_picture_is_refused(tmp_path: Path) -> None:
    copy = samples.copy_samples(tmp_path)
    with (copy / "coffee.png").open("ab") as handle:
        handle.write(b"!")
    with pytest.raises(
        PictureError, match=r"coffee.png is not the listed one: SHA-256 is .* reinstall scikit-image"
    ):
        samples.sample_pictures(folder=copy)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        PictureError, match=r"astronaut.png cannot be read: No such file or directory; reinstall"
    ):
        samples.sample_pictures(folder=tmp_path)


def test_without_scikit_image_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PictureError, match="pip install scikit-image, or give pictures of your own"):
        samples.sample_pictures()
