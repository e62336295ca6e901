"""Video codecs through ffmpeg: colours, bytes and PSNR of what comes back, and what is said where it is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.errors import RuntimeUnavailableError
from heliograph.measure import video

Picture = npt.NDArray[np.uint8]


def test_colours_are_those_of_bt_601_in_full_range() -> None:
    picture = np.array([[[255, 255, 255], [255, 0, 0]]], np.uint8)
    planes = video._to_planes(picture, (2, 2), 8)
    assert planes[:, 0, 0].tolist() == [255, 128, 128]
    assert planes[:, 0, 1].tolist() == [
        76,
        85,
        255,
    ]  # 0.299 * 255; 128 - 0.168736 * 255; 255.5 is above the range
    assert planes[:, 1].tolist() == planes[:, 0].tolist()  # repeated up to the even size
    assert video._to_planes(picture, (2, 2), 10)[:, 0, 1].tolist() == [305, 340, 1022]


@pytest.mark.parametrize(("bits", "apart"), [(8, 2), (10, 1)])
def test_colours_come_back(bits: int, apart: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 32, 3)).astype(np.uint8)
    again = video._to_rgb(video._to_planes(picture, (16, 32), bits), bits)
    assert np.abs(again.astype(int) - picture).max() <= apart


@pytest.mark.parametrize("name", list(video.VIDEOS))
def test_finer_settings_take_more_bytes_and_show_more(
    name: str, paint: Callable[[int, int], Picture]
) -> None:
    why = video.missing(name)
    if why is not None:
        pytest.skip(why)
    pictures = [np.roll(paint(97, 81), n, axis=1) for n in range(3)]
    settings = video.VIDEOS[name].settings
    fine, coarse = (video.measure(name, pictures, settings[at]) for at in (1, -1))
    assert fine[0] > 2 * coarse[0] > 0
    assert len(fine[1]) == len(coarse[1]) == 3
    assert np.mean(fine[1]) > np.mean(coarse[1]) + 3
    assert min(fine[1]) > 25


def test_what_is_missing_is_said(programs: Path) -> None:
    assert video.missing("x265") == "ffmpeg is not installed"
    program = programs / "ffmpeg"
    program.write_text(
        "#!/bin/sh\necho 'ffmpeg version 9.9 made here'\necho ' V..... libsvtav1 AV1'\n", encoding="utf-8"
    )
    program.chmod(0o755)
    video.clear()
    assert video.missing("x265") == "ffmpeg 9.9 has no libx265"
    assert video.missing("svt-av1") is None


def test_a_program_that_fails_says_why(programs: Path) -> None:
    program = programs / "ffmpeg"
    program.write_text("#!/bin/sh\necho one >&2\necho 'no such size' >&2\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(RuntimeUnavailableError, match="does not code these pictures: no such size"):
        video.measure("x265", [np.zeros((16, 16, 3), np.uint8)], 30)
