"""The device needs neither TensorFlow nor Keras: they are blocked, and the commands still work."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]

PROGRAM = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tensorflow", "keras", "jax", "torch", "skimage", "scipy"}:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Block())
from heliograph.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_encoding_and_the_preview_work(
    run_python: Run, photo: Path, codec_folder: Path, tmp_path: Path
) -> None:
    stream, back = tmp_path / "a.helio", tmp_path / "a.png"
    done = run_python(PROGRAM, "encode", photo, "-o", stream, "--codec", codec_folder)
    assert done.returncode == 0, done.stderr
    done = run_python(PROGRAM, "decode", stream, "-o", back, "--codec", codec_folder, "--decoder", "preview")
    assert done.returncode == 0, done.stderr
    assert back.stat().st_size > 0


def test_the_server_decoder_says_what_to_install(run_python: Run, stream: Path, codec_folder: Path) -> None:
    done = run_python(PROGRAM, "decode", stream, "-o", stream.with_name("x.png"), "--codec", codec_folder)
    assert done.returncode == 2
    assert "the server decoder needs Keras and a backend" in done.stderr
    assert "pip install 'keras<4,>=3.15' 'tensorflow<2.22,>=2.21', or use --decoder preview" in done.stderr


def test_training_says_what_to_install(run_python: Run, tmp_path: Path) -> None:
    done = run_python(PROGRAM, "train", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "pip install 'keras<4,>=3.15' 'tensorflow<2.22,>=2.21' 'scikit-image>=0.24'" in done.stderr
    assert not (tmp_path / "run").exists()
