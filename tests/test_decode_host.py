"""scripts/decode-host on the folder that `heliograph receive` leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

pytest.importorskip("serial")
pytest.importorskip("cobs")

from heliograph.bench.link_processes import SimulatedLine, command_of
from heliograph.cli import main
from heliograph.device.spool import Spool

SCRIPT = Path(__file__).resolve().parents[1] / "scripts/decode-host"
Paint = Callable[[int, int], npt.NDArray[np.uint8]]


def decode_host(*words: Path | str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(SCRIPT), *map(str, words)],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
        timeout=200,
    )


def test_what_arrived_is_decoded_and_the_next_call_goes_on(
    tmp_path: Path, paint: Paint, codec_folder: Path
) -> None:
    spool = tmp_path / "spool"
    Spool(spool)
    site = ["--memory", str(tmp_path / "memory"), "--codec", str(codec_folder)]
    for n in range(3):  # a fixed camera: later pictures refer to earlier ones
        photo = tmp_path / f"{n}.png"
        Image.fromarray(paint(96, 64) // (1 + n // 2)).save(photo)
        assert main(["encode", str(photo), "-o", str(spool / f"{n}.helio"), *site]) == 0
    with SimulatedLine("--baud", "460800") as line:
        receiving = subprocess.Popen(
            command_of("receive", line.ends[1], tmp_path, "--json"), stdout=subprocess.DEVNULL
        )
        sent = subprocess.run(
            command_of("send", line.ends[0], tmp_path, "--once"), capture_output=True, text=True
        )
        receiving.terminate()
        receiving.wait(20)
    assert sent.returncode == 0, sent.stderr
    (inbox,) = {path.parent.parent for path in tmp_path.rglob("0.helio")}
    pictures = tmp_path / "pictures"
    options = ["--decoder", "preview", "--codec", str(codec_folder)]
    done = decode_host(inbox, pictures, *options)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in pictures.rglob("*.png")) == ["0.png", "1.png", "2.png"]
    assert {p.parent.name for p in pictures.rglob("*.png")} == {p.parent.name for p in inbox.rglob("*.helio")}
    assert "3 left out because their pictures exist" in decode_host(inbox, pictures, *options).stderr
    assert decode_host(inbox).returncode == 2
