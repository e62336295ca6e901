"""Frameworks that are installed and fail, in whatever way: a line that says so, and what else works is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph import extras
from heliograph.cli import main
from heliograph.device import runtime
from heliograph.errors import RuntimeUnavailableError

BROKEN = "raise {kind}('module compiled against ABI version 0x1000009')\n"
PROGRAM = "import sys; from heliograph.cli import main; sys.exit(main())"
Paint = Callable[[int, int], npt.NDArray[np.uint8]]


def run(words: list[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    given = os.environ | environment
    return subprocess.run(command, capture_output=True, text=True, env=given, timeout=200)


@pytest.fixture
def breaks(tmp_path: Path) -> Callable[[str, str], str]:
    """Make a package whose import raises an error of a kind; return a PYTHONPATH that has it first."""

    def make(package: str, kind: str) -> str:
        folder = tmp_path / "broken" / package
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text(BROKEN.format(kind=kind), encoding="ascii")
        return os.pathsep.join([str(folder.parent), os.environ.get("PYTHONPATH", "")])

    return make


@pytest.mark.parametrize("kind", ["TypeError", "AttributeError", "RuntimeError"])
def test_keras_that_fails(
    kind: str, stream: Path, codec_folder: Path, breaks: Callable[[str, str], str], tmp_path: Path
) -> None:
    path = breaks("keras", kind)
    words: list[str | Path] = ["decode", stream, "-o", tmp_path / "a.png", "--codec", codec_folder]
    done = run(words, PYTHONPATH=path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"the server decoder needs Keras and a backend ({kind}: module compiled against ABI" in done.stderr
    program = "import sys, heliograph; print(heliograph.decode(sys.argv[1], codec=sys.argv[2]).shape)"
    again = subprocess.run(
        [sys.executable, "-c", program, str(stream), str(codec_folder)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert again.stdout == "(61, 97, 3)\n", again.stderr


def test_a_runtime_that_fails_leaves_its_place_to_the_next(
    photo: Path, codec_folder: Path, breaks: Callable[[str, str], str]
) -> None:
    path = breaks("ai_edge_litert", "AttributeError")
    words: list[str | Path] = ["encode", photo, "--codec", codec_folder]
    done = run(words, PYTHONPATH=path)
    assert "Traceback" not in done.stderr
    if len(runtime.available()) > 1:
        assert done.returncode == 0
    done = run([*words, "--force", "--runtime", "litert"], PYTHONPATH=path)
    assert done.returncode == 2
    assert "runtime litert is installed and fails to load (AttributeError: module compiled" in done.stderr


def test_training_without_what_it_needs(breaks: Callable[[str, str], str], tmp_path: Path) -> None:
    done = run(["train", "--out", tmp_path / "run"], PYTHONPATH=breaks("keras", "TypeError"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "training needs Keras and TensorFlow (TypeError: module compiled against ABI" in done.stderr


def test_channels_are_last_whatever_keras_json_says(stream: Path, codec_folder: Path, tmp_path: Path) -> None:
    settings = tmp_path / "keras"
    settings.mkdir()
    (settings / "keras.json").write_text(
        json.dumps({"image_data_format": "channels_first"}), encoding="ascii"
    )
    words: list[str | Path] = ["decode", stream, "--codec", codec_folder, "-o"]
    usual, other = tmp_path / "usual.png", tmp_path / "other.png"
    for out, environment in ((usual, {}), (other, {"KERAS_HOME": str(settings)})):
        done = run([*words, out], **environment)
        assert done.returncode == 0, done.stderr
    assert usual.read_bytes() == other.read_bytes()


def test_a_model_that_fails_as_it_runs_fails_for_that_picture(
    photo: Path,
    paint: Paint,
    codec_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As an Edge TPU that is unplugged for a while: set_tensor works, and invoke raises."""
    for name in ("b", "c"):
        Image.fromarray(paint(60, 50)).save(tmp_path / f"{name}.png")
    interpreter, load = runtime._load(runtime.available()[0])
    runs: list[int] = []

    class Fails(interpreter):  # type: ignore[misc, valid-type]
        def invoke(self) -> None:
            runs.append(1)
            if len(runs) == 1:
                raise RuntimeError("Failed to invoke TfLiteDelegate\nnode 3")
            super().invoke()

    monkeypatch.setattr(runtime, "_load", lambda name: (Fails, load))
    words = [
        "encode",
        str(photo),
        str(tmp_path / "b.png"),
        str(tmp_path / "c.png"),
        "--codec",
        str(codec_folder),
    ]
    assert main([*words, "-o", str(tmp_path / "out")]) == 2
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["b.helio", "c.helio"]
    said = capsys.readouterr().err
    assert "cannot run the model: Failed to invoke TfLiteDelegate; try another with --runtime" in said
    assert "node 3" not in said


def test_hints_name_packages_that_fit_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert extras.install("link") == "pip install 'pyserial>=3.5' 'cobs>=1.2.1' 'cryptography>=42'"
    assert extras.install("serve", "serve") == "pip install 'starlette>=0.40' 'uvicorn>=0.30'"
    for version, expected in (((3, 11), "ai-edge-litert<1.3,>=1.2"), ((3, 13), "ai-edge-litert<2.1.2,>=2.1")):
        monkeypatch.setattr(sys, "version_info", (*version, 0))
        assert list(extras.requirements("device")) == [expected]
    assert extras.install("device-tflite-runtime") == ""  # on 3.13
    monkeypatch.setattr(runtime, "RUNTIMES", {"tflite-runtime": ("no_such_module", "device-tflite-runtime")})
    monkeypatch.setattr(np, "__version__", "1.26.4")
    with pytest.raises(
        RuntimeUnavailableError, match="there is none for this Python, choose another runtime"
    ):
        runtime.Model(b"", runtime="tflite-runtime")
    monkeypatch.setattr("importlib.metadata.requires", lambda name: None)
    assert extras.install("link") == "pip install '.[link]'"
