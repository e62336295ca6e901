"""A watched folder: order, half-written files, restarts."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.device.cameras import folder as module
from heliograph.device.cameras.folder import WatchedFolder
from heliograph.errors import CameraError


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is watched with a settling time of 0.2 s."""
    monkeypatch.setattr(module, "SETTLE", 0.2)
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def put(folder: Path, name: str, grey: int, age: float = 100.0) -> Path:
    """Write a grey picture that was last changed some seconds ago."""
    path = folder / name
    Image.fromarray(np.full((8, 8, 3), grey, np.uint8)).save(path)
    moment = time.time() - age
    os.utime(path, (moment, moment))
    return path


def greys(camera: WatchedFolder) -> list[int]:
    """Return the greys of all pictures that wait, and take them."""
    found = []
    while (picture := camera.read()) is not None:
        found.append(int(picture[0, 0, 0]))
        camera.taken()
    return found


def opened(watched: Path, memory: Path | None = None) -> WatchedFolder:
    camera = WatchedFolder(watched, memory)
    camera.open()
    return camera


def test_pictures_come_in_the_order_of_their_time_each_once(watched: Path) -> None:
    put(watched, "c.png", 1, age=300)
    put(watched, "a.png", 2, age=200)
    put(watched, "b.png", 3, age=100)
    (watched / "notes.txt").write_text("no picture")
    put(watched, ".hidden.png", 9)
    camera = opened(watched)
    assert greys(camera) == [1, 2, 3]
    assert greys(camera) == []
    put(watched, "d.png", 4)
    assert greys(camera) == [4]


def test_a_restart_takes_none_again(watched: Path, tmp_path: Path) -> None:
    memory = tmp_path / "spool"
    put(watched, "a.png", 1, age=200)
    assert greys(opened(watched, memory)) == [1]
    put(watched, "b.png", 2, age=100)
    camera = opened(watched, memory)
    assert greys(camera) == [2]
    camera.close()
    camera.open()
    assert greys(camera) == []
    assert greys(opened(watched, memory)) == []


def test_one_that_was_read_and_not_taken_comes_again(watched: Path, tmp_path: Path) -> None:
    put(watched, "a.png", 1)
    camera = opened(watched, tmp_path / "spool")
    for _ in range(2):
        picture = camera.read()
        assert picture is not None
        camera.close()
        camera.open()
    assert greys(opened(watched, tmp_path / "spool")) == [1]


def test_a_line_cut_by_a_power_failure_costs_only_itself(watched: Path, tmp_path: Path) -> None:
    memory = tmp_path / "spool"
    put(watched, "a.png", 1, age=200)
    put(watched, "b.png", 2, age=100)
    assert greys(opened(watched, memory)) == [1, 2]
    (file,) = memory.glob(".taken-*")
    file.write_bytes(file.read_bytes()[:-7])
    put(watched, "c.png", 3, age=50)
    assert greys(opened(watched, memory)) == [2, 3]
    assert greys(opened(watched, memory)) == []


def test_what_was_deleted_is_forgotten(watched: Path, tmp_path: Path) -> None:
    memory = tmp_path / "spool"
    put(watched, "a.png", 1)
    assert greys(opened(watched, memory)) == [1]
    (watched / "a.png").unlink()
    opened(watched, memory)
    (file,) = memory.glob(".taken-*")
    assert file.read_bytes() == b""


def test_a_file_written_anew_is_a_new_picture(watched: Path) -> None:
    put(watched, "latest.png", 1, age=200)
    camera = opened(watched)
    assert greys(camera) == [1]
    put(watched, "latest.png", 2, age=100)
    assert greys(camera) == [2]


def test_a_file_that_still_grows_is_waited_for(watched: Path) -> None:
    whole = put(watched, "a.png", 7).read_bytes()
    (watched / "a.png").unlink()
    camera = opened(watched)
    half = watched / "half.png"
    for stop in (1, 20, len(whole) // 2):
        half.write_bytes(whole[:stop])
        assert camera.read() is None
    half.write_bytes(whole)
    assert greys(camera) == [7]


def test_a_writer_that_pauses_does_not_get_half_a_picture_taken(watched: Path) -> None:
    whole = put(watched, "a.png", 7).read_bytes()
    half = watched / "a.png"
    half.write_bytes(whole[: len(whole) // 2])
    os.utime(half, (time.time() - 50, time.time() - 50))  # long unchanged, and still half
    camera = opened(watched)
    assert camera.read() is None
    half.write_bytes(whole)
    assert greys(camera) == [7]


def test_a_file_that_never_becomes_a_picture_is_passed_over(
    watched: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "GIVE_UP", 0.3)
    (watched / "broken.jpg").write_bytes(b"no picture")
    os.utime(watched / "broken.jpg", (1e9, 1e9))
    put(watched, "good.png", 5)
    camera = opened(watched)
    assert greys(camera) == [5]
    time.sleep(0.3)
    assert greys(camera) == []
    assert "passed over: " in caplog.text
    assert "broken.jpg is not a picture" in caplog.text
    began = time.monotonic()
    assert camera.read() is None
    assert time.monotonic() - began < 0.2  # nothing is waited for any more


def test_a_clock_that_is_wrong_delays_and_loses_nothing(watched: Path) -> None:
    put(watched, "a.png", 1, age=-5000)  # written by a machine whose clock is ahead
    assert greys(opened(watched)) == [1]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"there is no folder .*/none: make it, or check its name"):
        WatchedFolder(tmp_path / "none").open()
    camera = WatchedFolder(tmp_path / "gone")
    (tmp_path / "gone").mkdir()
    camera.open()
    (tmp_path / "gone").rmdir()
    with pytest.raises(CameraError, match="cannot read folder"):
        camera.read()
