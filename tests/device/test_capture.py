"""The capture loop: with real encoder and spool; sources that fail; real processes with real signals."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.cli import main
from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.codec.thin import filled_parts
from heliograph.codec.values import Values
from heliograph.commands import encoding
from heliograph.device.cameras import EndOfPictures, make_camera
from heliograph.device.cameras.camera import Camera, Picture
from heliograph.device.capture import Captured, CaptureLoop
from heliograph.device.changes import ChangeDetector
from heliograph.device.encoder import Encoder
from heliograph.device.spool import Spool
from heliograph.errors import CameraError, PictureError, RuntimeUnavailableError, SpoolError
from heliograph.stop import Stop

Logs = pytest.LogCaptureFixture


class Script(Camera):
    """Does what it is told at each read: a picture's grey, an error to raise, or None."""

    def __init__(self, *steps: int | Exception | None, holds: bool = False) -> None:
        self.steps = list(steps)
        self.holds_pictures = holds
        self.calls: list[str] = []

    def open(self) -> None:
        self.calls.append("open")

    def read(self) -> Picture | None:
        if not self.steps:
            raise EndOfPictures("the script is over")
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return None if step is None else np.full((16, 16, 3), step, np.uint8)

    def close(self) -> None:
        self.calls.append("close")

    def taken(self) -> None:
        self.calls.append("taken")


@pytest.fixture
def stop() -> Iterator[Stop]:
    with Stop() as stop:
        yield stop


@pytest.fixture
def encode(encoder: Encoder) -> Callable[[Picture], bytes]:
    return lambda picture: Encoder(encoder.codec, layered=True).encode(picture, Rate(quality=50))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.device.capture.FIRST_DELAY", 0.01)


def test_pictures_go_into_the_spool(
    tmp_path: Path, stop: Stop, encode: Callable[[Picture], bytes], codec: Codec
) -> None:
    reports: list[Captured] = []
    camera, spool = make_camera("synthetic:300x200"), Spool(tmp_path)
    CaptureLoop(camera, encode, spool, every=0, count=3, report=reports.append).run(stop)
    names = spool.names()
    assert [r.name for r in reports] == names
    assert len(names) == 3
    for name, report in zip(names, reports, strict=True):
        assert spool.read(name) == report.data
        decoded = decode_stream(report.data, codec)
        assert (decoded.width, decoded.height) == (300, 200)
        stream = container.open(report.data)
        assert stream.header.parts == len(codec.coder.model.layers)  # small as they are
        assert filled_parts(stream) > 1


def test_the_schedule_is_kept_and_missed_ticks_are_not_made_up(
    tmp_path: Path, stop: Stop, encode: Callable[[Picture], bytes]
) -> None:
    moments: list[float] = []

    def slow(picture: Picture) -> bytes:
        moments.append(time.monotonic())
        if len(moments) == 1:
            time.sleep(0.5)
        return encode(picture)

    CaptureLoop(Script(1, 2, 3, 4), slow, Spool(tmp_path), every=0.2, count=4).run(stop)
    ticks = [round((m - moments[0]) / 0.2, 1) for m in moments]
    assert ticks[1] >= 2.9  # the ones at 1 and 2 passed meanwhile
    for before, after in pairwise(ticks):
        assert after - before > 0.5


def test_a_camera_that_fails_is_opened_again_and_nothing_else_happens(
    tmp_path: Path, stop: Stop, encode: Callable[[Picture], bytes], caplog: Logs
) -> None:
    camera = Script(1, CameraError("no picture: is it unplugged?"), OSError(5, "Input/output error"), 2)
    spool = Spool(tmp_path)
    CaptureLoop(camera, encode, spool, every=0).run(stop)
    assert len(spool.names()) == 2
    assert camera.calls == ["open", "taken", "close", "open", "close", "open", "taken", "close"]
    assert "a capture failed, it will be tried again: no picture: is it unplugged?" in caplog.text
    assert "it will be tried again: OSError: [Errno 5] Input/output error" in caplog.text


def test_a_missing_library_is_not_tried_again(
    tmp_path: Path, stop: Stop, encode: Callable[[Picture], bytes]
) -> None:
    class Missing(Script):
        def open(self) -> None:
            raise RuntimeUnavailableError("OpenCV is not installed")

    camera = Missing()
    with pytest.raises(RuntimeUnavailableError):
        CaptureLoop(camera, encode, Spool(tmp_path), every=0).run(stop)
    assert camera.calls == ["close"]


def test_a_camera_that_cannot_even_be_closed_is_opened_again(
    tmp_path: Path, stop: Stop, encode: Callable[[Picture], bytes], caplog: Logs
) -> None:
    class Unplugged(Script):
        def close(self) -> None:
            raise RuntimeError("no such device")

    spool = Spool(tmp_path)
    CaptureLoop(Unplugged(CameraError("unplugged"), 1), encode, spool, every=0).run(stop)
    assert len(spool.names()) == 1
    assert "closing the camera failed: RuntimeError: no such device" in caplog.text


def test_an_accelerator_that_fails_is_loaded_again(
    tmp_path: Path, codec_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: Logs
) -> None:
    made: list[Encoder] = []
    make = encoding.make_encoder

    def count(arguments: argparse.Namespace, *, layered: bool, base: bool) -> Encoder:
        made.append(make(arguments, layered=layered, base=base))
        if len(made) == 2:
            raise RuntimeUnavailableError("cannot load delegate: no device")  # it is not back yet
        return made[-1]

    latents, is_lost = Encoder.latents, iter([False, True])

    def lose_it(self: Encoder, picture: Picture) -> Values:
        if next(is_lost, False):
            raise RuntimeError("Node number 3 (EdgeTpuDelegateForCustomOp) failed to invoke")
        return latents(self, picture)

    monkeypatch.setattr(encoding, "make_encoder", count)
    monkeypatch.setattr(Encoder, "latents", lose_it)
    options = ["--every", "0", "--count", "3", "--spool", str(tmp_path), "--codec", str(codec_folder)]
    assert main(["capture", "--source", "synthetic:32x32", *options]) == 0
    assert len(Spool(tmp_path).names()) == 3
    assert len(made) == 3
    assert "tried again: RuntimeError: Node number 3" in caplog.text
    assert "tried again: cannot load delegate: no device" in caplog.text


def test_a_picture_that_the_spool_did_not_take_is_not_marked_as_taken(
    tmp_path: Path,
    stop: Stop,
    encode: Callable[[Picture], bytes],
    caplog: Logs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(self: Spool, data: bytes) -> str:
        raise SpoolError("the disk of the spool is full: no room")

    monkeypatch.setattr(Spool, "add", full)
    camera = Script(1)
    CaptureLoop(camera, encode, Spool(tmp_path), every=0).run(stop)
    assert "taken" not in camera.calls
    assert "no room" in caplog.text


def test_a_picture_larger_than_the_spool_may_be_does_not_stop_those_after_it(
    tmp_path: Path, stop: Stop, encode: Callable[[Picture], bytes], caplog: Logs
) -> None:
    camera = Script(1, 2, holds=True)
    CaptureLoop(camera, encode, Spool(tmp_path, max_bytes=10), every=0).run(stop)
    assert camera.calls == ["open", "close"]  # a larger spool may take them: they are not done with
    assert caplog.text.count("a picture is left out: ") == 2
    assert "a picture is left out: a stream of" in caplog.text
    assert "is more than the spool" in caplog.text


def test_a_picture_that_can_never_be_encoded_is_left_out(
    tmp_path: Path, stop: Stop, encoder: Encoder, caplog: Logs
) -> None:
    camera = Script(1, holds=True)
    loop = CaptureLoop(camera, lambda p: encoder.encode(p, Rate(max_bytes=5)), Spool(tmp_path), every=0)
    loop.run(stop)
    assert camera.calls == ["open", "close"]
    assert "a picture is left out: a picture of 16x16 takes" in caplog.text


def test_a_source_that_holds_pictures_is_emptied_at_each_tick(
    tmp_path: Path, stop: Stop, encode: Callable[[Picture], bytes]
) -> None:
    spool = Spool(tmp_path)
    began = time.monotonic()
    CaptureLoop(Script(1, 2, 3, None, 4, holds=True), encode, spool, every=0.5).run(stop)
    assert 0.5 <= time.monotonic() - began < 5
    assert len(spool.names()) == 4


def test_unchanged_pictures_are_skipped_and_do_not_count(
    tmp_path: Path, stop: Stop, encode: Callable[[Picture], bytes]
) -> None:
    reports: list[Captured] = []
    camera, spool = Script(10, 11, 50, 50, 51, 90), Spool(tmp_path)
    loop = CaptureLoop(
        camera, encode, spool, every=0, count=3, changes=ChangeDetector(), report=reports.append
    )
    loop.run(stop)
    assert [r.name is None for r in reports] == [False, True, False, True, True, False]
    assert camera.calls.count("taken") == 6
    assert len(spool.names()) == 3


def start(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "heliograph", "capture", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_picture_in_hand_and_exits_with_0(
    number: signal.Signals, tmp_path: Path, codec_folder: Path
) -> None:
    process = start(
        *("--source", "synthetic:640x480", "--every", "0", "--spool", str(tmp_path)),
        *("--codec", str(codec_folder), "--max-bytes", "3000"),
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(number)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    lines += rest.splitlines()
    names = Spool(tmp_path).names()
    assert [line.partition(":")[0] for line in lines] == names  # each that was begun is there and reported
    assert not list(tmp_path.glob(".*.partial"))
    assert all(container.open(Spool(tmp_path).read(n)).total <= 3000 for n in names)


def test_a_reader_that_has_seen_enough_ends_it(tmp_path: Path, codec_folder: Path) -> None:
    process = start(
        *("--source", "synthetic", "--every", "0", "--spool", str(tmp_path), "--codec", str(codec_folder))
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert "Error" not in process.stderr.read()
    process.stderr.close()


def test_a_signal_ends_a_long_wait_at_once(tmp_path: Path, codec_folder: Path) -> None:
    process = start(
        *("--source", "synthetic", "--every", "10h", "--spool", str(tmp_path), "--codec", str(codec_folder))
    )
    assert process.stdout is not None
    assert ".helio: 640x480, " in process.stdout.readline()
    began = time.monotonic()
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert time.monotonic() - began < 20


def test_a_watched_folder_killed_at_random_loses_no_picture(tmp_path: Path, codec_folder: Path) -> None:
    watched, spool = tmp_path / "in", tmp_path / "spool"
    watched.mkdir()
    for n in range(12):
        Image.fromarray(np.full((40 + n, 64, 3), 20 * n, np.uint8)).save(watched / f"{n:02}.png")
    options = ("--source", f"folder:{watched}", "--every", "1s", "--spool", str(spool))
    for _ in range(4):
        if (
            len(Spool(spool).names()) >= 12
        ):  # all were taken before the last one was killed: no more will be told of
            break
        process = start(*options, "--codec", str(codec_folder))
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.communicate(timeout=60)
    process = start(*options, "--codec", str(codec_folder))
    deadline = time.monotonic() + 60
    heights: list[int] = []
    while set(heights) != set(range(40, 52)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
        heights = [container.open(Spool(spool).read(n)).header.height for n in Spool(spool).names()]
    process.terminate()
    process.communicate(timeout=60)
    assert heights == sorted(heights)  # in order; one can be there twice, if killed before it was noted
    assert len(heights) <= 12 + 4


def test_a_picture_that_takes_all_memory_is_left_out(tmp_path: Path, stop: Stop, caplog: Logs) -> None:
    def encode(picture: Picture) -> bytes:
        raise MemoryError

    camera = Script(1, holds=True)
    CaptureLoop(camera, encode, Spool(tmp_path), every=0).run(stop)
    assert camera.calls == ["open", "close"]
    assert "a picture is left out: not enough memory to encode 16x16 pixels" in caplog.text


def test_what_could_not_be_kept_is_told_to_come_again(tmp_path: Path, stop: Stop, caplog: Logs) -> None:
    class Patient(Script):
        def later(self) -> float | None:
            self.calls.append("later")
            return 10.0

    def encode(picture: Picture) -> bytes:
        raise (
            MemoryError
            if picture[0, 0, 0] == 1
            else PictureError("a picture of 16x16 takes at least 60 bytes")
        )

    camera = Patient(1, 2, holds=True)
    CaptureLoop(camera, encode, Spool(tmp_path), every=0).run(stop)
    assert camera.calls == ["open", "later", "later", "close"]
    assert (
        "a picture is left for later: not enough memory to encode 16x16 pixels; it is tried again in 10 s"
        in caplog.text
    )
    assert "takes at least 60 bytes; it is tried again in 10 s" in caplog.text


def test_a_picture_that_always_fails_lets_the_next_have_its_turn(
    tmp_path: Path, stop: Stop, encode: Callable[[Picture], bytes]
) -> None:
    tried: list[int] = []

    def fail(picture: Picture) -> bytes:
        tried.append(int(picture[0, 0, 0]))
        if tried[-1] == 30:
            raise RuntimeError("Node number 3 failed to invoke")
        return encode(picture)

    (tmp_path / "in").mkdir()
    for n, grey in enumerate((30, 200)):
        Image.new("RGB", (16, 16), (grey,) * 3).save(tmp_path / f"in/{n}.png")
        os.utime(tmp_path / f"in/{n}.png", (1e9 + n, 1e9 + n))
    camera = make_camera(f"folder:{tmp_path}/in", memory=tmp_path / "spool")
    CaptureLoop(camera, fail, Spool(tmp_path / "spool"), every=0, count=1).run(stop)
    assert tried == [30] * 5 + [200]


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([CameraError("there is no camera /dev/video9")] * 999, "there is no camera /dev/video9"),
        ([None] * 9999, "the source gives no picture"),
    ],
)
def test_a_count_that_cannot_be_reached_ends(
    steps: list[int | Exception | None],
    why: str,
    tmp_path: Path,
    stop: Stop,
    encode: Callable[[Picture], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("heliograph.device.capture.PATIENCE", 0.3)
    loop = CaptureLoop(Script(*steps, holds=True), encode, Spool(tmp_path), every=600, count=1)
    with pytest.raises(CameraError, match=f"nothing could be taken in 0.3 s, so --count ends: {why}"):
        loop.run(stop)


def test_a_count_that_was_begun_goes_on_through_failures(
    tmp_path: Path, stop: Stop, encode: Callable[[Picture], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.device.capture.PATIENCE", 0.0)
    camera = Script(1, CameraError("unplugged"), CameraError("unplugged"), 2)
    CaptureLoop(camera, encode, Spool(tmp_path), every=0, count=2).run(stop)
    assert len(Spool(tmp_path).names()) == 2


def test_more_pictures_that_a_count_waits_for_are_told_of_once(
    tmp_path: Path, stop: Stop, encode: Callable[[Picture], bytes], caplog: Logs
) -> None:
    CaptureLoop(Script(1, None, None, 2, holds=True), encode, Spool(tmp_path), every=0, count=3).run(stop)
    assert [r.getMessage() for r in caplog.records] == ["2 more pictures are waited for, for --count: "]


def test_a_camera_of_which_nothing_can_be_kept_does_not_fill_the_log(
    tmp_path: Path, stop: Stop, encoder: Encoder, caplog: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.device.capture.FIRST_DELAY", 0.1)
    monkeypatch.setattr("heliograph.device.capture.PATIENCE", 0.6)
    loop = CaptureLoop(
        Script(*[1] * 999), lambda p: encoder.encode(p, Rate(max_bytes=5)), Spool(tmp_path), every=0, count=1
    )
    with pytest.raises(CameraError, match=r"so --count ends: a picture of 16x16 takes"):
        loop.run(stop)
    assert 2 <= caplog.text.count("a picture is left out: ") <= 5  # after 0, 0.1, 0.3, 0.6 s


def test_a_source_that_has_nothing_is_not_asked_without_a_pause(
    tmp_path: Path, stop: Stop, encode: Callable[[Picture], bytes]
) -> None:
    began = time.monotonic()
    CaptureLoop(Script(None, None, 1, holds=True), encode, Spool(tmp_path), every=0).run(stop)
    assert time.monotonic() - began >= 1.0
