"""Streams of the device's environment (the wheel, another runtime) and of this one decode in both."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.bench.link_processes import SimulatedLine, command_of, fill
from heliograph.cli import main
from heliograph.codec.codec import Codec
from heliograph.codec.stream import decode_stream
from heliograph.device.spool import Spool

DEVICE = Path(__file__).resolve().parents[1] / ".venv-device/bin"


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """The device environment's Python, which scripts/setup makes."""
    if not (DEVICE / "heliograph").exists():
        pytest.skip("there is no .venv-device: scripts/setup makes it")
    return DEVICE


def run(command: Path, *arguments: object) -> str:
    done = subprocess.run([str(command), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_device_has_no_framework(device: Path) -> None:
    installed = {p["name"].lower() for p in json.loads(run(device / "pip", "list", "--format", "json"))}
    assert not installed & {"tensorflow", "keras", "jax", "torch", "scikit-image"}


def test_the_device_can_send(device: Path, tmp_path: Path) -> None:
    Spool(tmp_path / "spool")
    (name,) = fill(tmp_path, 1, 3000, seed=1)
    with SimulatedLine("--baud", "460800") as line:
        receiving = subprocess.Popen(command_of("receive", line.ends[1], tmp_path), stdout=subprocess.DEVNULL)
        spool = ["--spool", tmp_path / "spool", "--device", "river", "--once"]
        try:
            sent = run(device / "heliograph", "send", "--port", line.ends[0], *spool)
        finally:
            receiving.terminate()
            receiving.wait(20)
    assert f"sent: name {name}" in sent


def test_the_wheel_carries_codecs_and_no_checkpoints(device: Path) -> None:
    program = "from heliograph.codec import registry; print(registry.shipped_folder())"
    folder = Path(run(device / "python", "-c", program).strip())
    assert folder.parent.name == "heliograph"
    assert "accelerator" in {p.name for p in folder.iterdir()}
    assert not list(folder.rglob("training/*"))


def test_streams_of_the_device_decode_here(
    device: Path, photo: Path, codec_folder: Path, codec: Codec, tmp_path: Path
) -> None:
    out = tmp_path / "device.helio"
    run(device / "heliograph", "encode", photo, "-o", out, "--codec", codec_folder)
    here = tmp_path / "here.helio"
    assert main(["encode", str(photo), "-o", str(here), "--codec", str(codec_folder)]) == 0
    theirs, ours = (decode_stream(p.read_bytes(), codec) for p in (out, here))
    apart, step = np.abs(theirs.values.astype(int) - ours.values), codec.steps(ours.values, ours.level)
    assert np.all(
        apart <= 2 * step + 16
    )  # each is within a step of its latent, and these are a unit apart at most
    assert (2 * apart < step).mean() > 0.95


def test_streams_of_this_environment_decode_on_the_device(
    device: Path, stream: Path, codec_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "device.png"
    run(device / "heliograph", "decode", stream, "-o", out, "--codec", codec_folder, "--decoder", "preview")
    with Image.open(out) as picture:
        assert picture.size == (97, 61)
