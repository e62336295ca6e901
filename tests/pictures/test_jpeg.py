"""Damaged JPEG files: half a picture is refused, a little damage is told of, and a sound file is neither."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.field_files import jpeg

from heliograph.cli import main
from heliograph.errors import PictureError
from heliograph.pictures import image_srgb, load_srgb

OPTIONS: dict[str, dict[str, object]] = {
    "usual": {"quality": 90},
    "4:4:4": {"quality": 90, "subsampling": 0},
    "optimised": {"quality": 40, "optimize": True},
    "restarts of rows": {"quality": 80, "restart_marker_rows": 1},
    "restarts of blocks": {"quality": 80, "restart_marker_blocks": 5},
    "progressive": {"quality": 90, "progressive": True},
}
SEQUENTIAL = [name for name in OPTIONS if name != "progressive"]


def photograph(grey: bool = False) -> npt.NDArray[np.uint8]:
    """A picture [300, 400, 3] or [300, 400] of slopes and noise."""
    y, x = np.mgrid[:300, :400]
    picture = np.stack([x / 2, y / 2, (x + y) / 4], axis=-1) + np.random.default_rng(1).normal(
        0, 9, (300, 400, 3)
    )
    levels = np.clip(picture, 0, 255).astype(np.uint8)
    return levels[..., 0] if grey else levels


PICTURE = photograph()


class Case:
    """Files that are written and read, and what is said of them."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.path, self.log = folder / "a.jpg", caplog

    def read(self, data: bytes) -> str:
        """Return what is said: an error, or a warning, or nothing."""
        self.path.write_bytes(data)
        self.log.clear()
        try:
            picture = load_srgb(self.path)
        except PictureError as error:
            return f"refused: {error}"
        assert picture.shape[2] == 3
        return "; ".join(self.log.messages)


@pytest.fixture
def case(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Case:
    return Case(tmp_path, caplog)


@pytest.mark.parametrize("quality", [1, 30, 95, 100])
@pytest.mark.parametrize("kind", OPTIONS)
def test_a_sound_file_says_nothing(kind: str, quality: int, case: Case) -> None:
    options = OPTIONS[kind] | {"quality": quality}
    pictures = (
        PICTURE,
        photograph(grey=True),
        PICTURE[:9, :7],
        np.zeros((1000, 1000, 3), np.uint8),
        PICTURE[:1, :1],
    )
    for picture in pictures:
        assert case.read(jpeg(picture, **options)) == ""
        assert case.read(jpeg(picture, **options) + b"what a maker's program appends" * 99) == ""
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert case.read(jpeg(noise, **options)) == ""


def test_a_sound_file_of_cmyk_and_of_several_pictures(case: Case) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).convert("CMYK").save(buffer, "JPEG")
    assert case.read(buffer.getvalue()) == ""
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, "MPO", save_all=True, append_images=[Image.fromarray(PICTURE[:50])])
    assert case.read(buffer.getvalue()) == ""


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("filler", ["zeros", "ones", "noise", "nothing"])
@pytest.mark.parametrize("has_end", [False, True])
def test_half_a_picture_is_refused(kind: str, filler: str, has_end: bool, case: Case) -> None:
    data = jpeg(PICTURE, **OPTIONS[kind])
    half = len(data) - len(data) // 2
    noise = np.random.default_rng(3).integers(0, 255, len(data), dtype=np.uint8).tobytes()  # no markers in it
    rest = {"zeros": b"\0" * half, "ones": b"\xff" * half, "noise": noise[:half], "nothing": b""}[filler]
    said = case.read(data[: len(data) // 2] + rest + (b"\xff\xd9" if has_end else b""))
    if (filler == "noise" and kind in ("usual", "4:4:4", "optimised")) or (kind == "progressive" and has_end):
        # Codes that may be, or coarser scans of the whole picture: it is told of at least.
        assert said
    else:
        assert said.startswith("refused: ")


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_hole_in_the_middle(kind: str, case: Case) -> None:
    data = bytearray(jpeg(PICTURE, **OPTIONS[kind]))
    data[len(data) // 2 : len(data) // 2 + 1024] = bytes(1024)
    assert case.read(bytes(data))


@pytest.mark.parametrize("kind", SEQUENTIAL)
def test_what_a_decoder_warns_of_is_logged_with_the_file(kind: str, case: Case) -> None:
    sound = jpeg(PICTURE, **OPTIONS[kind])
    told = 0
    for place in range(len(sound) // 3, len(sound) // 3 + 200, 10):
        data = bytearray(sound)
        data[place : place + 4] = b"\x55\xaa\x55\xaa"
        said = case.read(bytes(data))
        told += bool(said)
        assert not said or "damaged JPEG data: about" in said or "missing or overwritten" in said
        assert not said or str(case.path) in said
    assert told >= 8  # of twenty: some changes leave as many bits as there were


def test_garbage_between_the_picture_and_its_end(case: Case) -> None:
    data = jpeg(PICTURE, quality=90)
    said = case.read(data[:-2] + b"\x12\x34" * 200 + data[-2:])
    share = 400 / (len(data) - 623 + 400)  # of the bytes behind the head
    assert said == f"{case.path}: damaged JPEG data: about {share:.1%} of the picture may be wrong"


@pytest.mark.parametrize("kind", SEQUENTIAL)
def test_no_end_marker(kind: str, case: Case) -> None:
    said = case.read(jpeg(PICTURE, **OPTIONS[kind])[:-2])
    assert "image file is truncated" in said or said.endswith("no end marker, though its picture is whole")


def test_missing_scans_are_told_of(case: Case) -> None:
    data = jpeg(PICTURE, quality=90, progressive=True)
    last = data.rindex(b"\xff\xda")
    assert case.read(data[:last] + b"\xff\xd9").endswith("the picture is coarser than it was")


@pytest.mark.parametrize("kind", ["restarts of rows", "restarts of blocks"])
def test_an_interval_that_is_lost(kind: str, case: Case) -> None:
    data = jpeg(PICTURE, **OPTIONS[kind])
    marks = [n for n in range(len(data) - 1) if data[n] == 0xFF and 0xD0 <= data[n + 1] <= 0xD7]
    assert "about" in case.read(data[: marks[5]] + data[marks[6] :])
    assert "missing or overwritten" in case.read(data[: marks[2]] + data[marks[-2] :])


@pytest.mark.parametrize("cut", [1, 2, 3, 10, 100, 500, 640])
def test_a_head_that_is_cut(cut: int, case: Case) -> None:
    assert case.read(jpeg(PICTURE)[:cut]).startswith("refused: ")


def test_a_pillow_image_of_half_a_file_is_refused(case: Case) -> None:
    data = jpeg(PICTURE, quality=90)
    case.path.write_bytes(data[: len(data) // 2] + bytes(len(data)))
    with (
        Image.open(case.path) as image,
        pytest.raises(PictureError, match="missing or overwritten in its file"),
    ):
        image_srgb(image)
    case.path.write_bytes(data)
    with Image.open(case.path) as image:
        assert np.array_equal(image_srgb(image), load_srgb(case.path))


def test_the_command_says_it_once_and_encodes(
    tmp_path: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jpg"
    data = jpeg(PICTURE, quality=90)
    path.write_bytes(data[:-2] + b"\x12\x34" * 200 + data[-2:])
    assert main(["encode", str(path), "--codec", str(codec_folder)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert (
        len([line for line in lines if line.startswith(f"heliograph: {path}: damaged JPEG data: about ")])
        == 1
    )
    assert path.with_suffix(".helio").exists()
