"""The page in headless Chromium, before a real receiver on a slow line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("playwright")
pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("serial")
pytest.importorskip("cobs")

from heliograph.bench.browser import BROWSERS
from heliograph.bench.page_latency import watch
from heliograph.codec.codec import Codec


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no Chromium here: apt-get install chromium")
def test_a_picture_sharpens_while_it_comes_over_a_slow_line(
    tmp_path: Path, codec: Codec, paint: Callable[[int, int], npt.NDArray[np.uint8]]
) -> None:
    found = watch(tmp_path, codec, paint(320, 240), quality=70, baud=9600)
    assert found.complaints == []
    assert all(sight.width == 320 for sight in found.sights)
    versions = [sight.version for sight in found.sights]
    assert versions == sorted(versions)
    assert len(set(versions)) >= len(found.layers()) > 2  # each layer was to be seen, and more between them
    line = 10 * len(found.stream) / 9600  # seconds that the line alone takes for all of it
    first, last = found.sights[0], found.sights[-1]
    assert first.held < len(found.stream) / 2
    assert first.seconds < found.received - line / 3  # long before the whole was there
    assert last.is_whole
    assert last.held == len(found.stream)
    assert last.seconds < found.received + 3
