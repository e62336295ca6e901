"""heliograph capture as a process, among what happens in the field: second processes, cards, files written anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.codec import container
from heliograph.device.spool import Spool

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(codec_folder: Path) -> Iterator[Start]:
    """Start captures, which are ended after the test."""
    processes: list[subprocess.Popen[str]] = []

    def begin(source: str, spool: Path, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "heliograph", "capture", "--source", source, "--spool", str(spool)]
        command += ["--codec", str(codec_folder), "--no-memory", *options]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def end(process: subprocess.Popen[str]) -> str:
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return errors


def put(path: Path, side: int) -> None:
    """Write a picture that is known by its width, changed long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, side, 3), side % 250, np.uint8)).save(path)
    os.utime(path, (1e9 + side, 1e9 + side))


def widths(spool: Path) -> list[int]:
    spooled = Spool(spool)
    return [container.open(spooled.read(name)).header.width for name in spooled.names()]


def test_a_second_process_on_a_folder_or_a_spool_ends_with_one_line(tmp_path: Path, start: Start) -> None:
    put(tmp_path / "in/a.png", 20)
    first = start(f"folder:{tmp_path}/in", tmp_path / "spool", "--every", "1s")
    assert ": 20x16, " in line(first)
    (tmp_path / "link").symlink_to("in")
    for source, spool, said in (
        (f"folder:{tmp_path}/link", "other", f"takes the pictures of {tmp_path}/link; end that one"),
        ("synthetic:32x32", "spool", f"works into the spool {tmp_path}/spool; end that one"),
    ):
        second = start(source, tmp_path / spool, "--every", "1s")
        _, errors = second.communicate(timeout=60)
        assert second.returncode == 2
        assert errors.count("\n") == 1
        assert "another heliograph capture" in errors
        assert said in errors
    first.send_signal(signal.SIGKILL)
    first.wait()
    put(tmp_path / "in/b.png", 24)
    third = start(f"folder:{tmp_path}/in", tmp_path / "spool", "--every", "1s")  # the locks died with it
    assert ": 24x16, " in line(third)
    end(third)
    assert widths(tmp_path / "spool") == [20, 24]


def test_the_start_of_a_second_one_deletes_nothing_of_the_first(tmp_path: Path) -> None:
    names = (".taken.0123abcd.partial", ".counter.0123abcd.partial")
    for name in names:
        (tmp_path / name).write_bytes(b"being written by somebody else")
    leftover = ".20261126T000000.000000Z-01234567.helio.0123abcd.partial"
    (tmp_path / leftover).write_bytes(b"of a writer that died")
    Spool(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".spool", *names}


def test_a_card_is_waited_for_and_only_what_is_new_is_sent(
    tmp_path: Path, start: Start, mount_disk: Callable[[int], Path]
) -> None:
    card = mount_disk(1024)
    put(card / "DCIM/1.png", 20)
    process = start(f"folder:{card}", tmp_path / "spool", "--every", "1s")
    assert ": 20x16, " in line(process)
    subprocess.run(["umount", str(card)], check=True)  # nothing is kept open there
    time.sleep(2.5)
    end(process)
    process = start(f"folder:{card}", tmp_path / "spool", "--every", "1s")
    time.sleep(4)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(card)], check=True)
    put(card / "DCIM/1.png", 20)
    put(card / "DCIM/2.png", 24)
    assert ": 24x16, " in line(process)
    assert "is empty: pictures are waited for; is a card to be mounted there?" in end(process)
    assert widths(tmp_path / "spool") == [20, 24]


def test_a_file_that_is_renewed_each_second_is_taken(tmp_path: Path, start: Start) -> None:
    (tmp_path / "in").mkdir()
    process = start(f"folder:{tmp_path}/in", tmp_path / "spool", "--every", "1s")
    for side in range(16, 256):
        Image.fromarray(np.full((16, side, 3), side, np.uint8)).save(tmp_path / "new.jpg")
        (tmp_path / "new.jpg").replace(tmp_path / "in/latest.jpg")
        time.sleep(1)
        if len(widths(tmp_path / "spool")) >= 3:
            break
    end(process)
    found = widths(tmp_path / "spool")
    assert len(found) >= 3
    assert found == sorted(set(found))


def test_too_small_a_budget_is_not_for_ever(tmp_path: Path, start: Start) -> None:
    put(tmp_path / "in/a.png", 64)
    process = start(f"folder:{tmp_path}/in", tmp_path / "spool", "--every", "1s", "--max-bytes", "20")
    assert process.stderr is not None
    assert "a picture is left for later: a picture of 64x16 takes" in process.stderr.readline()
    end(process)
    process = start(f"folder:{tmp_path}/in", tmp_path / "spool", "--every", "1s")
    assert ": 64x16, " in line(process)
    end(process)
    assert widths(tmp_path / "spool") == [64]


def test_a_full_disk_is_waited_for(tmp_path: Path, start: Start, mount_disk: Callable[[int], Path]) -> None:
    put(tmp_path / "in/a.png", 640)
    disk = mount_disk(128)
    (disk / "ballast").write_bytes(bytes(112 << 10))
    with (disk / "more").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    process = start(f"folder:{tmp_path}/in", disk / ".", "--every", "1s")
    time.sleep(8)
    assert process.poll() is None
    (disk / "ballast").unlink()
    assert ": 640x16, " in line(process)
    end(process)
    assert widths(disk) == [640]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param("folder:{}/in", "no picture waits in {}/in", marks=pytest.mark.slow),
        pytest.param("folder:{}/broken", "a.jpg is not a picture", marks=pytest.mark.slow),
        pytest.param("folder:{}/none", "there is no folder {}/none", marks=pytest.mark.slow),
        pytest.param("v4l2:/dev/video77", "/dev/video77", marks=pytest.mark.slow),
    ],
)
def test_a_count_of_nothing_ends_within_half_a_minute(
    source: str, said: str, tmp_path: Path, start: Start
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/a.jpg").write_bytes(b"no picture")
    if source.startswith("v4l2"):
        pytest.importorskip("cv2")
    process = start(source.format(tmp_path), tmp_path / "spool", "--every", "10m", "--count", "1")
    began = time.monotonic()
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 2
    last = errors.splitlines()[-1]
    assert last.startswith("heliograph: error: nothing could be taken in 25 s, so --count ends: ")
    assert said.format(tmp_path) in last
    assert time.monotonic() - began < 60  # 25 s, and the start of a busy machine
