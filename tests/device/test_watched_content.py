"""A watched folder knows pictures by what they hold: cards that come and go, times that move, files written anew."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.device.cameras import folder as module
from heliograph.device.cameras import memory as remembering
from heliograph.device.cameras.folder import WatchedFolder
from heliograph.device.cameras.memory import File, Memory
from heliograph.errors import CameraError
from heliograph.files import open_regular

Logs = pytest.LogCaptureFixture


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is watched with a settling time of 0.2 s."""
    monkeypatch.setattr(module, "SETTLE", 0.2)
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def put(path: Path, grey: int, age: float = 100.0) -> Path:
    """Write a grey picture that was last changed some seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), grey, np.uint8)).save(path)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def opened(watched: Path, memory: Path | None = None, max_pixels: int = 1000) -> WatchedFolder:
    camera = WatchedFolder(watched, memory, max_pixels=max_pixels)
    camera.open()
    return camera


def greys(camera: WatchedFolder) -> list[int]:
    """Return the greys of all pictures that wait, and take them."""
    found = []
    while (picture := camera.read()) is not None:
        found.append(int(picture[0, 0, 0]))
        camera.taken()
    return found


def test_a_card_that_is_mounted_after_the_start_gives_only_what_is_new(
    watched: Path, tmp_path: Path, caplog: Logs
) -> None:
    put(watched / "DCIM/100CANON/IMG_0001.JPG", 10, age=300)
    put(watched / "DCIM/100CANON/IMG_0002.JPG", 20, age=200)
    assert greys(opened(watched, tmp_path / "spool")) == [10, 20]
    card = watched.rename(tmp_path / "card")
    watched.mkdir()  # the mount point without the card, after a power cut
    camera = opened(watched, tmp_path / "spool")
    assert greys(camera) == greys(camera) == []
    assert caplog.text.count("is empty: pictures are waited for") == 1
    watched.rmdir()
    card.rename(watched)
    put(watched / "DCIM/100CANON/IMG_0003.JPG", 30)
    assert greys(camera) == [30]


def test_a_folder_that_vanishes_and_comes_back_gives_nothing_again(watched: Path, tmp_path: Path) -> None:
    put(watched / "a.png", 1)
    camera = opened(watched, tmp_path / "spool")
    assert greys(camera) == [1]
    watched.rename(tmp_path / "away")
    with pytest.raises(CameraError, match="cannot read folder"):
        camera.read()
    camera.close()
    with pytest.raises(CameraError, match="there is no folder"):
        camera.open()
    (tmp_path / "away").rename(watched)
    camera.open()
    assert greys(camera) == []


def test_times_that_move_by_an_hour_are_no_news(watched: Path, tmp_path: Path) -> None:
    paths = [put(watched / f"{n}.png", n, age=9000 - n) for n in range(4)]
    assert greys(opened(watched, tmp_path / "spool")) == [0, 1, 2, 3]
    for path in paths:  # FAT keeps local time, and it is summer now
        moment = path.stat().st_mtime + 3600
        os.utime(path, (moment, moment))
    assert greys(opened(watched, tmp_path / "spool")) == []


def test_a_link_or_a_copy_of_another_name_is_no_other_picture(watched: Path) -> None:
    put(watched / "20261126-01.png", 1)
    (watched / "lastsnap.png").symlink_to("20261126-01.png")
    os.link(watched / "20261126-01.png", watched / "hard.png")
    camera = opened(watched)
    assert greys(camera) == [1]
    put(watched / "20261126-02.png", 2, age=50)
    (watched / "lastsnap.png").unlink()
    (watched / "lastsnap.png").symlink_to("20261126-02.png")
    assert greys(camera) == [2]


def test_a_source_under_another_path_is_the_same_card(watched: Path, tmp_path: Path) -> None:
    put(watched / "a.png", 1)
    assert greys(opened(watched, tmp_path / "spool")) == [1]
    assert greys(opened(watched.rename(tmp_path / "usb1"), tmp_path / "spool")) == []


def test_content_is_read_once_while_a_file_stays_as_it_is(
    watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(watched / "a.png", 1)
    (watched / "b.png").symlink_to("a.png")
    assert greys(opened(watched, tmp_path / "spool")) == [1]
    monkeypatch.setattr(module, "open_regular", None)  # would fail
    assert greys(opened(watched, tmp_path / "spool")) == []


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_file_that_is_renewed_all_the_time_is_taken_once_a_look(watched: Path, is_replaced: bool) -> None:
    stop, path = threading.Event(), watched / "latest.png"

    def renew() -> None:
        n = 0
        while not stop.wait(0.05):
            n += 1
            picture = Image.fromarray(np.full((8, 8, 3), n % 250, np.uint8))
            if is_replaced:
                picture.save(watched / ".new.png")
                (watched / ".new.png").replace(path)
            else:
                picture.save(path)

    thread = threading.Thread(target=renew)
    thread.start()
    camera = opened(watched)
    found: list[int] = []
    deadline = time.monotonic() + 30
    while len(found) < 3 and time.monotonic() < deadline:
        one = greys(camera)
        assert len(one) <= 1
        found += one
    stop.set()
    thread.join()
    assert len(set(found)) == 3


def test_a_file_that_only_grows_is_not_taken_for_one_that_is_renewed(
    watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = put(watched / "a.png", 7).read_bytes() + bytes(
        400
    )  # what follows a picture's end is no part of it
    (watched / "a.png").unlink()
    stop = threading.Event()

    def grow() -> None:
        with (watched / "b.png").open("wb", buffering=0) as file:
            for n in range(0, len(whole), 10):
                file.write(whole[n : n + 10])
                if stop.wait(0.05):
                    return

    thread = threading.Thread(target=grow)
    thread.start()
    camera = opened(watched)
    early = [camera.read() for _ in range(3)]
    thread.join()
    stop.set()
    assert early == [None] * 3
    assert greys(camera) == [7]


def test_all_kinds_of_picture_files_are_taken(watched: Path) -> None:
    suffixes = [
        "pgm",
        "ppm",
        "pnm",
        "jp2",
        "j2k",
        "gif",
        "jpe",
        "jfif",
        "JPG",
        "mpo",
        "png",
        "tiff",
        "webp",
        "bmp",
    ]
    for n, suffix in enumerate(suffixes):
        put(watched / f"{n:02}.{suffix}", 100 + n, age=100 - n)
    found = greys(opened(watched))
    assert len(found) == len(suffixes)
    assert all(abs(grey - 100 - n) <= 2 for n, grey in enumerate(found))


def test_what_is_passed_over_is_named_once(watched: Path, caplog: Logs) -> None:
    put(watched / "in/it.png", 1)
    put(watched / ".thumbnails/it.png", 9)
    for name in ("a.heic", "b.heic", "c.MP4", "README"):
        (watched / name).write_bytes(b"x")
    (watched / "elsewhere").symlink_to("/usr")
    camera = opened(watched)
    assert greys(camera) == [1]
    assert greys(camera) == []
    lines = sorted(record.getMessage() for record in caplog.records)
    assert len(lines) == 4
    assert lines[0] == f"passed over: {watched}/elsewhere, which is a link to a folder"
    assert lines[1].startswith(f"passed over: files ending in .heic, such as {watched}/")
    assert lines[2] == f"passed over: files ending in .mp4, such as {watched}/c.MP4"
    assert lines[3] == f"passed over: files without a suffix, such as {watched}/README"


def test_what_cannot_be_read_for_a_while_is_read_then(
    watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Logs
) -> None:
    monkeypatch.setattr(module, "GIVE_UP", 0.0)
    put(watched / "a.png", 1)
    is_there = False

    def broken(path: Path) -> object:
        if not is_there:
            raise OSError(5, "Input/output error", str(path))
        return open_regular(path)

    monkeypatch.setattr(module, "open_regular", broken)
    camera = opened(watched, tmp_path / "spool")
    now = time.monotonic()
    monkeypatch.setattr(camera._pauses, "_clock", lambda: now)
    assert greys(camera) == greys(camera) == []
    assert caplog.text.count("a.png: Input/output error; it is tried again in 10 s") == 1
    now += 10.1
    assert greys(camera) == []
    assert "it is tried again in 20 s" in caplog.text
    is_there = True
    assert greys(camera) == []
    now += 20.1
    assert greys(camera) == [1]


def test_a_file_that_is_no_picture_is_final_and_one_that_is_too_large_only_as_long_as_that_is_so(
    watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Logs
) -> None:
    monkeypatch.setattr(module, "GIVE_UP", 0.0)
    put(watched / "large.png", 1)
    (watched / "broken.png").write_bytes(b"no picture")
    os.utime(watched / "broken.png", (1e9, 1e9))
    assert greys(opened(watched, tmp_path / "spool", max_pixels=10)) == []
    assert caplog.text.count("passed over: ") == 2
    caplog.clear()
    assert greys(opened(watched, tmp_path / "spool", max_pixels=10)) == []
    assert caplog.text == ""
    assert greys(opened(watched, tmp_path / "spool", max_pixels=100)) == [1]


def test_a_picture_that_could_not_be_kept_comes_again_after_a_pause_and_a_restart(
    watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(watched / "a.png", 1, age=200)
    put(watched / "b.png", 2, age=100)
    camera = opened(watched, tmp_path / "spool")
    now = time.monotonic()
    monkeypatch.setattr(camera._pauses, "_clock", lambda: now)
    for pause in (10, 20):
        picture = camera.read()
        assert picture is not None
        assert int(picture[0, 0, 0]) == 1
        assert camera.later() == pause
        assert greys(camera) == ([2] if pause == 10 else [])
        now += pause + 1
    assert greys(opened(watched, tmp_path / "spool")) == [1]


def test_the_memory_is_bounded_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "MOST", 10)
    memory, there = Memory(tmp_path / ".taken"), [File(5, "there", 9)]
    memory.load()
    memory.take("first", there[0])
    for n in range(300):
        memory.take(f"{n}", None)
        memory.tidy(there)
    lines = (tmp_path / ".taken").read_text().splitlines()
    assert 11 <= len(lines) <= 11 + 4 * 11
    again = Memory(tmp_path / ".taken")
    again.load()
    assert again.is_done("first", 0)
    assert again.digest(there[0]) == "first"
    assert again.is_done("299", 0)
    assert not again.is_done("0", 0)


def test_a_full_disk_takes_no_note_and_the_next_note_has_both(tmp_path: Path, caplog: Logs) -> None:
    memory = Memory(tmp_path / "spool/.taken")
    memory.load()
    (tmp_path / "spool").rename(tmp_path / "away")
    memory.take("a", None)
    memory.take("b", None)
    assert caplog.text.count("cannot note what was taken") == 1
    (tmp_path / "away").rename(tmp_path / "spool")
    memory.take("c", None)
    again = Memory(tmp_path / "spool/.taken")
    again.load()
    assert [again.is_done(name, 0) for name in "abcd"] == [True, True, True, False]


def test_the_loop_has_its_turn_while_many_files_are_looked_into(
    watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [put(watched / f"{n}.png", n, age=9000 - n) for n in range(4)]
    assert greys(opened(watched, tmp_path / "spool")) == [0, 1, 2, 3]
    for path in paths:
        os.utime(path, (1e9, 1e9))
    put(watched / "new.png", 9)
    monkeypatch.setattr(module, "AT_ONCE", -1.0)
    camera = opened(watched, tmp_path / "spool")
    for _ in range(4):
        assert camera.read() is None
        assert camera.is_busy
    assert greys(camera) == [9]
    assert not camera.is_busy


def test_a_folder_is_not_looked_at_anew_for_each_picture(
    watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN", 600.0)
    for n in range(50):
        put(watched / f"{n:02}.png", n)
    camera = opened(watched)
    looks: list[float] = []
    files = camera._listing.files

    def look() -> list[File]:
        looks.append(time.monotonic())
        return files()

    monkeypatch.setattr(camera._listing, "files", look)
    assert len(greys(camera)) == 50
    assert len(looks) == 2
    (watched / "00.png").unlink()  # gone, or another, since the look
    put(watched / "60.png", 60, age=200)
    put(watched / "61.png", 61, age=100)
    assert camera.read() is not None
    camera.taken()
    whole = put(watched / "61.png", 99).read_bytes()
    (watched / "61.png").write_bytes(whole[:40])
    assert camera.read() is None
    (watched / "61.png").write_bytes(whole)
    assert greys(camera) == [99]
