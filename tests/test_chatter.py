"""What others write while they start stays from the terminal, unless it says why they did not."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
MAIN = "import sys; from heliograph.cli import main; sys.exit(main(sys.argv[1:]))"
WRITE = """
import os, sys
from heliograph import chatter
chatter.{0}()
with chatter.held():
    os.write(2, b"from a library\\n")
    print("from Python", file=sys.stderr)
print("after", file=sys.stderr)
"""
FAIL = """
import os
from heliograph import chatter
chatter.silence()
with chatter.held(), chatter.held():
    os.write(2, b"libcudart.so.12: no such file\\n")
    raise ImportError("no libcudart")
"""


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)


def test_what_is_written_to_the_descriptor_is_held(run_python: Run) -> None:
    assert run_python(WRITE.format("silence")).stderr == "after\n"
    assert run_python(WRITE.format("show")).stderr == "from a library\nfrom Python\nafter\n"


def test_at_an_exception_it_is_shown(run_python: Run) -> None:
    done = run_python(FAIL)
    assert done.returncode == 1
    assert done.stderr.startswith("libcudart.so.12: no such file\n")
    assert done.stderr.endswith("ImportError: no libcudart\n")


@pytest.mark.parametrize("decoder", ["preview", "server"])
def test_decoding_prints_only_what_is_ours(
    decoder: str, stream: Path, codec_folder: Path, tmp_path: Path, run_python: Run
) -> None:
    if decoder == "server" and importlib.util.find_spec("tensorflow") is None:
        pytest.skip("no TensorFlow here")
    command = [
        "decode",
        stream,
        stream,
        "--codec",
        codec_folder,
        "--decoder",
        decoder,
        "-o",
        f"{tmp_path}/out",
    ]
    done = run_python(MAIN, *command)
    assert done.returncode == 2
    first, last = done.stderr.splitlines()
    assert first.startswith(f"heliograph: error: {stream} would become ")
    assert last == f"heliograph: 1 decoded; 1 failed: {stream}"


def test_encoding_prints_nothing_and_verbose_shows_the_rest(
    photo: Path, codec_folder: Path, run_python: Run
) -> None:
    command = ["encode", photo, "--codec", codec_folder, "--force"]
    assert run_python(MAIN, *command).stderr == ""
    if importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("tflite-runtime has nothing to say")
    assert "XNNPACK" in run_python(MAIN, *command, "--verbose").stderr


def test_a_failing_import_shows_its_reason(stream: Path, codec_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text(
        "import os\nos.write(2, b'wanted: libcudart.so.12\\n')\nraise ImportError('no libcudart')\n",
        encoding="utf-8",
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = ["decode", str(stream), "-o", f"{tmp_path}/x.png", "--codec", str(codec_folder)]
    done = subprocess.run(
        [sys.executable, "-m", "heliograph", *command],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "wanted: libcudart.so.12"
    assert "the server decoder needs Keras and a backend (no libcudart)" in done.stderr.splitlines()[1]
