"""`heliograph doctor` in this environment, and in the device's where TensorFlow is not installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heliograph.commands import doctor
from heliograph.doctor import software
from heliograph.doctor.examination import private
from heliograph.doctor.roles import ROLES

ROOT = Path(__file__).resolve().parents[2]
DEVICE = ROOT / ".venv-device/bin/python"


def run_doctor(python: str | Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-m", "heliograph", "doctor", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT / "toolkit"), "HOME": "/home/somebody"},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What is found in this environment."""
    done = run_doctor(sys.executable, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_it_finds_what_the_tests_run_on(found: dict[str, Any]) -> None:
    assert found["python"] == sys.version.split()[0]
    assert found["codecs"] == {"accelerator": "", "microcontroller": ""}
    assert found["core"] == software.has_core()
    assert set(found["roles"]) == set(ROLES)
    assert found["roles"]["device"] == {"works": True, "missing": [], "install": ""}
    assert any(runtime["works"] for runtime in found["runtimes"].values())


def test_frameworks_are_asked_only_where_they_are_installed(found: dict[str, Any]) -> None:
    assert ("tensorflow" in found["frameworks"]) == (importlib.util.find_spec("tensorflow") is not None)
    if "tensorflow" in found["frameworks"]:
        assert any(device.startswith("CPU") for device in found["frameworks"]["tensorflow"]["devices"])


def test_the_text_has_a_line_for_every_role(found: dict[str, Any]) -> None:
    text = doctor.lines(found)
    start = text.index("roles")
    for role in ROLES:
        assert any(line.startswith(f"  {role} ") for line in text[start:]), role
    assert text[0].startswith(f"heliograph {found['heliograph']}, Python {found['python']}, Linux ")


def test_on_a_device_it_names_what_installs_the_rest() -> None:
    if not DEVICE.exists():
        pytest.skip(f"no {DEVICE}: scripts/setup makes it")
    done = run_doctor(DEVICE, "--role", "device", "--role", "server")
    assert done.returncode == 2
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "device               encode, capture, preview: ok" in lines
    at = next(n for n, line in enumerate(lines) if line.startswith("server "))
    assert lines[at].endswith("on TensorFlow: lacks keras, tensorflow")
    assert lines[at + 1] == "pip install 'keras<4,>=3.15' 'tensorflow<2.22,>=2.21'"
    assert run_doctor(DEVICE, "--role", "device", "--quiet").returncode == 0


def test_the_user_s_folder_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    found = {"a": ["cannot read /home/somebody/x", 3], "b": None}
    assert private(found) == {"a": ["cannot read ~/x", 3], "b": None}


def test_a_changed_file_of_a_codec_is_told_of(codec_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.codec.registry.shipped", lambda: {"mine": codec_copy})
    (codec_copy / "server_decoder.npz").unlink()
    assert software.check_codecs() == {"mine": ""}
    data = bytearray((codec_copy / "entropy.bin").read_bytes())
    data[-1] ^= 1
    (codec_copy / "entropy.bin").write_bytes(data)
    assert "entropy.bin was changed: SHA-256 is" in software.check_codecs()["mine"]
