"""The process beside the capture loop: started again when it ends, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from heliograph.device import sending as module
from heliograph.device.sending import SendProcess


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children() -> set[int]:
    """Return the processes that this one started and that have not ended."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


def test_it_runs_and_is_ended(tmp_path: Path, codec_folder: Path) -> None:
    command = ["capture", "--source", "synthetic", "--every", "1h", "--spool", str(tmp_path)]
    sender = SendProcess([*command, "--codec", str(codec_folder)])
    before = children()
    sender.look()
    (child,) = children() - before
    wait_until(lambda: any(tmp_path.glob("2*.helio")))
    sender.look()
    assert children() - before == {child}
    sender.close()
    assert children() == before
    sender.close()


def test_one_that_ends_is_started_again_later_and_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY", 0.1)
    sender = SendProcess(["--version"])

    def look() -> int:
        sender.look()
        return caplog.text.count("the sender ended with exit code 0")

    wait_until(lambda: look() >= 3)
    sender.close()
    for delay in ("0.1", "0.2", "0.4"):
        assert f"next start in {delay} s" in caplog.text
    assert capfd.readouterr().out.count("heliograph ") >= 3


def test_it_does_not_outlive_a_killed_parent(tmp_path: Path, codec_folder: Path) -> None:
    program = """
import sys, time
from heliograph.device.sending import SendProcess
sender = SendProcess(sys.argv[1:])
sender.look()
print(sender._child.pid, flush=True)
time.sleep(600)
"""
    command = ["capture", "--source", "synthetic", "--every", "1h", "--spool", str(tmp_path)]
    arguments = [sys.executable, "-c", program, *command, "--codec", str(codec_folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_until(lambda: any(tmp_path.glob("2*.helio")))
        parent.send_signal(signal.SIGKILL)
    wait_until(
        lambda: not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text()
    )
