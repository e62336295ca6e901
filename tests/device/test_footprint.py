"""What capture asks of a device: memory, time to import, packages. Figures: scripts/device-footprint."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


def measure(source: str, *options: str) -> dict[str, object]:
    command = [sys.executable, str(ROOT / "scripts/measure_capture.py"), source, "2", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("rate", ["--max-bytes=8000", "--quality=100"])
def test_a_capture_of_2_megapixels_stays_below_160_megabytes(rate: str, codec_folder: Path) -> None:
    found = measure("synthetic:1920x1080", rate, "--codec", str(codec_folder), "--skip-unchanged")
    assert isinstance(found["peak_megabytes"], float)
    assert 40 < found["peak_megabytes"] < 160
    # Pillow comes with the other commands; what capture itself needs is numpy and a TFLite runtime.
    assert found["heavy_modules"] in (["PIL"], ["PIL", "tensorflow"], [])


def test_from_a_file_of_2_megapixels_too(codec_folder: Path, tmp_path: Path) -> None:
    for n in range(2):
        noise = np.random.default_rng(n).integers(0, 256, (1080, 1920, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{n}.jpg", quality=95)
    found = measure(f"folder:{tmp_path}", "--codec", str(codec_folder))
    assert isinstance(found["peak_megabytes"], float)
    assert 40 < found["peak_megabytes"] < 160


def test_the_capture_path_is_imported_in_half_a_second(run_python: Run) -> None:
    program = """
import sys, time
import heliograph.cli
import heliograph.commands.capture
print(time.process_time())
print(sorted({"tensorflow", "keras", "jax", "torch", "scipy", "skimage", "cv2", "picamera2", "serial",
              "ai_edge_litert", "tflite_runtime"} & set(sys.modules)))
"""
    found = [run_python(program).stdout.splitlines() for _ in range(3)]
    assert {modules for _, modules in found} == {"[]"}
    # Processor time, interpreter included, of the quickest of three: the machine may be busy with other things.
    assert min(float(seconds) for seconds, _ in found) < 0.5
