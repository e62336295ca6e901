"""With a camera: python -m pytest -m hardware tests/device/test_real_cameras.py"""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.device.cameras import make_camera


@pytest.mark.hardware
@pytest.mark.parametrize("source", ["v4l2:/dev/video0", "picamera"])
def test_a_camera_gives_pictures_of_now_also_when_opened_again(source: str) -> None:
    camera = make_camera(source, size=(640, 480))
    for _ in range(2):
        camera.open()
        first, second = camera.read(), camera.read()
        camera.close()
        assert first is not None
        assert second is not None
        assert first.dtype == np.uint8
        assert first.shape == second.shape == (480, 640, 3)
        assert first.std() > 1  # not a black frame
        assert not np.array_equal(
            first, second
        )  # a sensor's noise never repeats: the second is no buffered copy
