"""A Raspberry Pi's camera, through picamera2 and libcamera."""

from __future__ import annotations

import importlib
import time
from typing import Any

import numpy as np

from heliograph.device.cameras.camera import Camera, Picture
from heliograph.errors import CameraError, RuntimeUnavailableError

SETTLE = 2.0  # seconds that exposure and white balance need after the start, as picamera2's manual advises
INSTALL = (
    "sudo apt install -y python3-picamera2 --no-install-recommends, and make heliograph's environment "
    "with: python3 -m venv --system-site-packages"
)


def _load() -> Any:
    try:
        return importlib.import_module("picamera2").Picamera2
    except ImportError as error:
        raise RuntimeUnavailableError(f"picamera2 is not installed ({error}): {INSTALL}") from error
    except ValueError as error:  # its compiled parts come from apt and were built for the numpy of apt
        raise RuntimeUnavailableError(
            f"picamera2 does not go with numpy {np.__version__} ({error}): pip install 'numpy<2'"
        ) from error


class PiCamera(Camera):
    """The first camera of the board, kept running so that exposure follows the light.

    Args:
        size: width and height; default: the sensor's largest.
    """

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        self._size = size
        self._camera: Any = None

    def open(self) -> None:
        """Start the camera and let exposure settle.

        Raises:
            RuntimeUnavailableError: picamera2 is not installed, or for another numpy.
            CameraError: there is no camera, or it is in use.
        """
        kind = _load()
        try:
            self._camera = kind()
            main: dict[str, object] = {"format": "BGR888"}  # libcamera's name for bytes in the order R, G, B
            if self._size is not None:
                main["size"] = self._size
            # A still configuration has the sYCC colour space, which is sRGB in RGB, and one buffer.
            self._camera.configure(self._camera.create_still_configuration(main=main))
            self._camera.start()
        except Exception as error:  # picamera2 lets through RuntimeError, IndexError and libcamera's own
            self.close()
            raise CameraError(
                f"cannot start the camera: {type(error).__name__}: {error}; check its cable with "
                "rpicam-hello --list-cameras, and that no other program uses it"
            ) from error
        time.sleep(SETTLE)

    def read(self) -> Picture:
        """Return a picture that was exposed after the call, not one that waited in a buffer."""
        try:
            request = self._camera.capture_request(flush=True)
            try:
                picture = request.make_array("main")
            finally:
                request.release()
        except Exception as error:
            raise CameraError(f"the camera gave no picture: {type(error).__name__}: {error}") from error
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise CameraError(
                f"the camera gave {picture.dtype} {list(picture.shape)}, expected uint8 [H, W, 3]"
            )
        return np.ascontiguousarray(picture)

    def close(self) -> None:
        """Stop the camera."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()
