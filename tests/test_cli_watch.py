"""`heliograph receive` decodes what comes, from a link and from a folder, as real processes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from heliograph.cli import main


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.05)
    assert condition()


def test_streams_of_a_folder_are_decoded_as_they_come(
    stream: Path, tmp_path: Path, codec_folder: Path
) -> None:
    pytest.importorskip("serial")
    (tmp_path / "in/cam").mkdir(parents=True)
    command = [sys.executable, "-m", "heliograph", "receive", "--watch", str(tmp_path / "in")]
    command += [
        "--pictures",
        str(tmp_path / "out"),
        "--codec",
        str(codec_folder),
        "--decoder",
        "preview",
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for name in ("a", "b"):
        shutil.copy(stream, tmp_path / f"in/cam/{name}.helio")
        made = tmp_path / f"out/cam/{name}.png"
        wait_for(made.exists)
        with Image.open(made) as picture:
            assert picture.size == (97, 61)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    events = [json.loads(line) for line in out.splitlines()]
    assert [(e["event"], e["device"], e["name"]) for e in events][-1] == ("decoded", "cam", "b.helio")


def test_what_comes_over_a_line_is_decoded_while_it_comes(
    stream: Path, tmp_path: Path, codec_folder: Path
) -> None:
    for package in ("serial", "cobs", "cryptography"):
        pytest.importorskip(package)
    from heliograph.bench.link_processes import SimulatedLine, command_of
    from heliograph.device.spool import Spool

    name = Spool(tmp_path / "spool").add(stream.read_bytes())
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with SimulatedLine("--baud", "19200") as line:
        decode = [
            "--pictures",
            str(tmp_path / "pictures"),
            "--codec",
            str(codec_folder),
            "--decoder",
            "preview",
        ]
        receiver = subprocess.Popen(command_of("receive", line.ends[1], tmp_path, *decode), **options)
        sender = subprocess.run(command_of("send", line.ends[0], tmp_path, "--once"), timeout=60)
        assert sender.returncode == 0
        made = (tmp_path / "pictures/camera" / name).with_suffix(".png")
        wait_for(made.exists)
        receiver.terminate()
        out, errors = receiver.communicate(timeout=20)
    assert receiver.returncode == 0
    assert f"received: device camera, name {name}" in out
    assert f"decoded: device camera, name {name}" in out
    assert "Traceback" not in errors
    with Image.open(made) as picture:
        assert picture.size == (97, 61)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--watch", "x", "--port", "y"],
            "--watch takes streams from a folder: give it without --port and --out",
        ),
        (["--watch", "."], "--pictures missing"),
        (["--watch", "none here", "--pictures", "x"], "none here is not a folder"),
        (["--pictures", "x"], "--port and --out missing"),
    ],
)
def test_what_does_not_go_together_is_an_error(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("serial")
    assert main(["receive", *options]) == 2
    assert message in capsys.readouterr().err
