"""V4L2 cameras and video files, through OpenCV."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.device.cameras.camera import Camera, EndOfPictures, Picture
from heliograph.errors import CameraError, RuntimeUnavailableError
from heliograph.extras import install

INSTALL = f"{install('opencv')}, or on Debian: sudo apt install -y python3-opencv"
WAITING = 5  # frames that V4L2 buffers may hold from before a picture was asked for: OpenCV has four


def _load() -> Any:
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise RuntimeUnavailableError(f"OpenCV is not installed ({error}): {INSTALL}") from error


def _to_rgb(cv2: Any, frame: Any) -> Picture:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise CameraError(f"OpenCV gave {frame.dtype} {list(frame.shape)}, expected uint8 [H, W, 3]")
    cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=frame)
    return np.asarray(frame)


class V4L2Camera(Camera):
    """A camera of the kernel's V4L2 interface: USB cameras, capture cards.

    Args:
        device: its path, such as /dev/video0; a path in /dev/v4l/by-id stays the same when it is plugged in anew.
        size: width and height to ask for; the driver takes the nearest it has. Default: its own.
    """

    def __init__(self, device: str, size: tuple[int, int] | None = None) -> None:
        self._device, self._size = device, size
        self._capture: Any = None
        self._cv2: Any = None

    def open(self) -> None:
        """Open the device.

        Raises:
            RuntimeUnavailableError: OpenCV is not installed.
            CameraError: there is no camera at that path, or it is in use.
        """
        cv2 = self._cv2 = _load()
        if not Path(self._device).exists():
            raise CameraError(
                f"there is no camera {self._device}: plug it in, or list them with ls /dev/video*"
            )
        # The device's number: OpenCV takes a path for a file's unless it is /dev/videoN itself.
        self._capture = cv2.VideoCapture(str(Path(self._device).resolve()), cv2.CAP_V4L2)
        if not self._capture.isOpened():
            self.close()
            raise CameraError(
                f"cannot open camera {self._device}: it is no V4L2 camera, another program uses it, or the "
                "user is not in the group video"
            )
        if self._size is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size[1])

    def read(self) -> Picture:
        """Return a picture of now: what waits in the driver's buffers is thrown away first."""
        for _ in range(WAITING):
            if not self._capture.grab():
                break
        is_there, frame = self._capture.read()
        if not is_there or frame is None:
            raise CameraError(f"camera {self._device} gave no picture: is it unplugged?")
        return _to_rgb(self._cv2, frame)

    def close(self) -> None:
        """Release the device."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()


class VideoFile(Camera):
    """A video file, frame by frame."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._capture: Any = None
        self._cv2: Any = None
        self._next = 0

    def open(self) -> None:
        """Open the file, at the frame after the last one read.

        Raises:
            RuntimeUnavailableError: OpenCV is not installed.
            CameraError: it is no video, or not there.
        """
        cv2 = self._cv2 = _load()
        if not self._path.is_file():
            raise CameraError(f"there is no video file {self._path}: check its name")
        self._capture = cv2.VideoCapture(str(self._path))
        if not self._capture.isOpened():
            self.close()
            raise CameraError(f"{self._path} is no video that OpenCV can read; convert it, or check the file")
        for _ in range(self._next):
            self._capture.grab()

    def read(self) -> Picture:
        """Return the next frame; EndOfPictures after the last."""
        is_there, frame = self._capture.read()
        if not is_there or frame is None:
            raise EndOfPictures(f"{self._path} is over after {self._next} frames")
        self._next += 1
        return _to_rgb(self._cv2, frame)

    def close(self) -> None:
        """Close the file."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()
