"""Picture sources: names, the synthetic one, video files and V4L2 with the real OpenCV, picamera2's interface."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.device.cameras import EndOfPictures, make_camera, parse_size, picamera
from heliograph.device.cameras.folder import WatchedFolder
from heliograph.device.cameras.opencv import V4L2Camera, VideoFile
from heliograph.device.cameras.picamera import PiCamera
from heliograph.device.cameras.synthetic import SyntheticCamera
from heliograph.errors import CameraError, HeliographError, RuntimeUnavailableError


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("picamera", PiCamera),
        ("v4l2:/dev/video0", V4L2Camera),
        ("folder:/srv/in", WatchedFolder),
        ("video:a:b.mp4", VideoFile),
        ("synthetic", SyntheticCamera),
        ("synthetic:64x48", SyntheticCamera),
    ],
)
def test_sources_have_names(source: str, kind: type) -> None:
    assert type(make_camera(source)) is kind


@pytest.mark.parametrize("source", ["", "webcam", "v4l2", "folder:", "picamera:1", "/dev/video0"])
def test_another_source_is_refused(source: str) -> None:
    with pytest.raises(CameraError) as caught:
        make_camera(source)
    assert str(caught.value) == (
        f"unknown source {source!r}: expected one of picamera, v4l2:/dev/video0, folder:DIR, video:FILE, "
        "synthetic[:WxH]"
    )


@pytest.mark.parametrize("text", ["640", "640x", "0x48", "-1x5", "640x480x3", "a x b"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(CameraError, match="expected WIDTHxHEIGHT in pixels, such as 1920x1080"):
        parse_size(text)


def test_no_source_imports_the_library_of_another(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    program = """
import sys
from heliograph.device.cameras import make_camera
for source in ("picamera", "v4l2:/dev/video0", "video:a", "synthetic", "folder:a"):
    make_camera(source)
print(sorted({"cv2", "picamera2", "PIL", "tensorflow"} & set(sys.modules)))
"""
    assert run_python(program).stdout == "[]\n"


class TestSynthetic:
    def pictures(self, count: int, width: int = 200, height: int = 120) -> list[npt.NDArray[np.uint8]]:
        camera = SyntheticCamera(width, height)
        camera.open()
        found = [camera.read() for _ in range(count)]
        camera.close()
        return found

    def test_the_same_pictures_come_in_every_run(self) -> None:
        for a, b in zip(self.pictures(3), self.pictures(3), strict=True):
            assert a.shape == (120, 200, 3)
            assert a.dtype == np.uint8
            assert np.array_equal(a, b)

    def test_they_move_and_have_texture_and_colour(self) -> None:
        first, second = self.pictures(2)
        assert np.abs(first.astype(int) - second).mean() > 5
        assert first.std() > 25
        detail = np.diff(first.astype(int), axis=1)
        assert 3 < np.abs(detail).mean() < 30
        assert (first[..., 0].astype(int) - first[..., 2]).std() > 10

    @pytest.mark.parametrize("size", [(1, 1), (17, 3), (300, 64)])
    def test_any_size(self, size: tuple[int, int]) -> None:
        assert self.pictures(1, *size)[0].shape == (size[1], size[0], 3)


class TestOpenCV:
    def test_without_it_the_error_names_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setitem(sys.modules, "cv2", None)
        for camera in (V4L2Camera("/dev/video0"), VideoFile(tmp_path / "a.avi")):
            with pytest.raises(RuntimeUnavailableError, match=r"OpenCV is not installed .*: pip install "):
                camera.open()
            camera.close()

    def test_a_video_comes_frame_by_frame_and_ends(self, tmp_path: Path) -> None:
        cv2 = pytest.importorskip("cv2")
        path = tmp_path / "film.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
        colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200)]
        for r, g, b in colours:
            writer.write(np.full((48, 64, 3), (b, g, r), np.uint8))
        writer.release()
        camera = VideoFile(path)
        camera.open()
        for number, colour in enumerate(colours):
            picture = camera.read()
            assert picture.shape == (48, 64, 3)
            assert np.abs(picture.mean((0, 1)) - colour).max() < 8  # JPEG's loss; the channels are R, G, B
            if number == 0:  # closed and opened after some error: goes on, does not begin again
                camera.close()
                camera.open()
        with pytest.raises(EndOfPictures, match=r"film.avi is over after 3 frames"):
            camera.read()
        camera.close()
        camera.close()

    def test_a_file_that_is_no_video_is_named(self, tmp_path: Path) -> None:
        pytest.importorskip("cv2")
        with pytest.raises(CameraError, match="there is no video file"):
            VideoFile(tmp_path / "none.avi").open()
        (tmp_path / "text.avi").write_text("no video")
        with pytest.raises(CameraError, match=r"text.avi is no video that OpenCV can read"):
            VideoFile(tmp_path / "text.avi").open()

    def test_a_camera_that_is_not_there_is_named(self) -> None:
        pytest.importorskip("cv2")
        with pytest.raises(CameraError, match="there is no camera /dev/video77: plug it in, or list them"):
            V4L2Camera("/dev/video77").open()

    def test_a_device_that_is_no_camera_is_named(self) -> None:
        pytest.importorskip("cv2")
        with pytest.raises(CameraError, match=r"cannot open camera /dev/null: it is no V4L2 camera"):
            V4L2Camera("/dev/null").open()


class Libcamera:
    """picamera2 as its documents describe it; the real one needs a Raspberry Pi."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.frame = np.zeros((4, 6, 3), np.uint8)

    def create_still_configuration(self, main: dict[str, object]) -> dict[str, object]:
        return {"still": main}

    def configure(self, configuration: object) -> None:
        self.calls.append(configuration)

    def start(self) -> None:
        self.calls.append("start")

    def capture_request(self, flush: bool) -> SimpleNamespace:
        assert flush
        return SimpleNamespace(make_array=self.make_array, release=lambda: self.calls.append("release"))

    def make_array(self, name: str) -> npt.NDArray[np.uint8]:
        assert name == "main"
        self.calls.append("capture")
        return self.frame

    def close(self) -> None:
        self.calls.append("close")


class TestPiCamera:
    @pytest.fixture
    def board(self, monkeypatch: pytest.MonkeyPatch) -> Libcamera:
        board = Libcamera()
        module = ModuleType("picamera2")
        module.Picamera2 = lambda: board  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "picamera2", module)
        monkeypatch.setattr(picamera, "SETTLE", 0.0)
        return board

    def test_without_picamera2_the_error_names_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "picamera2", None)
        with pytest.raises(RuntimeUnavailableError) as caught:
            PiCamera().open()
        assert "sudo apt install -y python3-picamera2 --no-install-recommends" in str(caught.value)
        assert "python3 -m venv --system-site-packages" in str(caught.value)

    def test_one_built_for_another_numpy_is_explained(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(name: str) -> ModuleType:
            raise ValueError("numpy.dtype size changed")

        monkeypatch.setattr("importlib.import_module", fail)
        with pytest.raises(
            RuntimeUnavailableError, match=r"does not go with numpy .*: pip install 'numpy<2'"
        ):
            PiCamera().open()

    def test_it_is_asked_for_rgb_and_gives_every_request_back(self, board: Libcamera) -> None:
        camera = PiCamera((6, 4))
        camera.open()
        assert np.array_equal(camera.read(), board.frame)
        camera.close()
        camera.close()
        assert board.calls == [
            {"still": {"format": "BGR888", "size": (6, 4)}},
            "start",
            "capture",
            "release",
            "close",
        ]

    def test_failures_are_errors_of_ours_and_the_camera_is_given_back(self, board: Libcamera) -> None:
        def fail() -> None:
            raise RuntimeError("Failed to acquire camera")

        board.start = fail  # type: ignore[method-assign]
        with pytest.raises(CameraError, match="cannot start the camera: RuntimeError: Failed to acquire"):
            PiCamera().open()
        assert board.calls[-1] == "close"

    def test_an_array_of_another_kind_is_refused(self, board: Libcamera) -> None:
        board.frame = np.zeros((4, 6, 4), np.uint8)
        camera = PiCamera()
        camera.open()
        with pytest.raises(HeliographError, match=r"gave uint8 \[4, 6, 4\], expected uint8 \[H, W, 3\]"):
            camera.read()
        assert board.calls[-1] == "release"
