"""A watched folder: order, half-written files, restarts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
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
    (file,) = memory.glob(".taken")
    file.write_bytes(file.read_bytes()[:-7])
    put(watched, "c.png", 3, age=50)
    assert greys(opened(watched, memory)) == [2, 3]
    assert greys(opened(watched, memory)) == []


def test_what_was_deleted_is_remembered(watched: Path, tmp_path: Path) -> None:
    memory = tmp_path / "spool"
    data = put(watched, "a.png", 1).read_bytes()
    assert greys(opened(watched, memory)) == [1]
    (watched / "a.png").unlink()
    camera = opened(watched, memory)
    assert greys(camera) == []
    (watched / "again.png").write_bytes(data)
    assert greys(camera) == []
    assert greys(opened(watched, memory)) == []


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


def test_what_is_no_file_is_not_looked_at(watched: Path) -> None:
    os.mkfifo(watched / "a.jpg")
    (watched / "b.jpg").mkdir()
    (watched / "c.jpg").symlink_to("/dev/zero")
    (watched / "d.jpg").symlink_to(watched / "nothing")
    put(watched, "e.png", 5)
    (watched / "f.png").symlink_to(watched / "e.png")
    camera = opened(watched)
    assert greys(camera) == [5]  # e.png and the link to it are one picture
    began = time.monotonic()
    assert camera.read() is None
    assert time.monotonic() - began < 0.2  # nothing is waited for


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # as the command line does
def test_a_picture_of_too_many_pixels_is_passed_over_unread(
    watched: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "GIVE_UP", 0.3)
    Image.new("1", (11_585, 11_585)).save(watched / "a.png")
    os.utime(watched / "a.png", (1e9, 1e9))
    put(watched, "b.png", 5)
    camera = WatchedFolder(watched, max_pixels=50_000_000)
    camera.open()
    began = time.monotonic()
    assert greys(camera) == [5]
    time.sleep(0.3)
    assert greys(camera) == []
    assert time.monotonic() - began < 2
    assert "passed over: " in caplog.text
    assert "picture is 11585x11585, 134212225 pixels, and 50000000 are allowed here" in caplog.text


CAPTURE = """
import os, signal, sys
from pathlib import Path
from heliograph.device.cameras.folder import WatchedFolder
camera = WatchedFolder(Path(sys.argv[1]), Path(sys.argv[2]))
camera.open()
while (picture := camera.read()) is not None:
    grey = int(picture[0, 0, 0])
    if grey == 66:
        os.kill(os.getpid(), signal.SIGKILL)  # as the system does when memory ends
    print(grey, flush=True)
    camera.taken()
camera.close()
"""


def test_a_picture_that_kills_twice_is_set_aside(
    watched: Path, tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    put(watched, "a.png", 1, age=300)
    put(watched, "b.png", 66, age=200)
    put(watched, "c.png", 3, age=100)
    done = [run_python(CAPTURE, watched, tmp_path / "spool") for _ in range(4)]
    assert [d.returncode for d in done] == [-signal.SIGKILL, -signal.SIGKILL, 0, 0]
    assert [d.stdout.split() for d in done] == [["1"], [], ["3"], []]
    assert f"set aside: {watched}/b.png was being read or encoded each of 2 times" in done[2].stderr
    assert done[3].stderr == done[2].stderr  # said at each start: it still waits
    assert "it is tried again in 10 minutes" in done[3].stderr
    put(watched, "b.png", 2, age=50)  # made smaller
    assert greys(opened(watched, tmp_path / "spool")) == [2]


def test_errors_and_stops_are_no_attempts(
    watched: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(watched, "a.png", 1)
    for _ in range(5):
        camera = opened(watched, tmp_path / "spool")
        assert camera.read() is not None
        camera.close()
    assert greys(opened(watched, tmp_path / "spool")) == [1]
    assert caplog.text == ""


def test_a_file_that_does_not_decode_is_noted_once(
    watched: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (watched / "half.jpg").write_bytes(b"no picture yet")
    os.utime(watched / "half.jpg", (1e9, 1e9))
    for _ in range(3):
        camera = opened(watched, tmp_path / "spool")
        for _ in range(3):
            assert camera.read() is None
    (file,) = (tmp_path / "spool").glob(".taken")
    assert len(file.read_text().splitlines()) == 2
    assert caplog.text == ""


def test_without_room_for_a_note_pictures_come_all_the_same(
    watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(watched, "a.png", 1)
    camera = opened(watched, tmp_path / "spool")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert camera.read() is not None
