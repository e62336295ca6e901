"""Parity: latents whose differences are known, a runner that is TFLite again, and OpenVINO where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec.codec import Codec
from heliograph.device.encoder import Encoder
from heliograph.errors import ExportError
from heliograph.export import parity
from heliograph.export.probe import synthetic_picture

RUNNER = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1])
interpreter.allocate_tensors()
out = []
for x in np.load(sys.argv[2]):
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x[None])
    interpreter.invoke()
    out.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
np.save(sys.argv[3], np.stack(out))
print("LiteRT again")
"""


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """A runner that is TFLite itself, in a process of its own."""
    path = tmp_path / "runner.py"
    path.write_text(RUNNER, encoding="utf-8")
    return path


def test_the_same_runtime_is_equal(codec: Codec, runner: Path) -> None:
    picture = synthetic_picture(300)[:, :280]
    found = parity.compare(codec, picture, sys.executable, runner)
    assert found == parity.Parity("LiteRT again", 1.0, 0, 1.0, 0.0)
    assert parity.table([("a", found)])[1] == ("a", "LiteRT again", "100.00%", "0", "100.000%", "+0.00%")


def test_known_differences_are_counted(codec: Codec) -> None:
    ours = Encoder(codec).units(synthetic_picture(256))
    theirs = ours.copy()
    theirs[0, 0, :] = np.clip(ours[0, 0].astype(int) + 3, -128, 127)
    found = parity.judge(codec, ours, theirs, 256, 256, "x")
    assert found.equal == pytest.approx(1 - 1 / 256, abs=1e-3)
    assert found.worst == 3
    assert found.values < 1


def test_a_failing_runner_is_quoted(codec: Codec, tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("raise SystemExit('error: no such device')", encoding="utf-8")
    with pytest.raises(
        ExportError, match=r"bad\.py failed under .*: error: no such device; install the toolchain"
    ):
        parity.compare(codec, synthetic_picture(64), sys.executable, path)


def test_outputs_that_are_not_int8_are_refused(codec: Codec, runner: Path) -> None:
    runner.write_text(RUNNER.replace("np.stack(out)", "np.stack(out).astype(np.float32)"), encoding="utf-8")
    with pytest.raises(ExportError, match=r"gave float32 .*expected int8 .*keep the model's quantised ends"):
        parity.compare(codec, synthetic_picture(64), sys.executable, runner)


@pytest.mark.slow
def test_openvino_agrees_within_a_unit(shipped: Codec) -> None:
    python = os.environ.get("HELIOGRAPH_OPENVINO_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import openvino"], capture_output=True).returncode:
        pytest.skip(
            "openvino missing: install it in another environment, HELIOGRAPH_OPENVINO_PYTHON names its Python"
        )
    found = parity.compare(shipped, synthetic_picture(512), python, parity.RUNNERS / "openvino_runner.py")
    assert found.toolchain.startswith("OpenVINO 20")
    assert found.worst <= 2
    assert found.equal > 0.6
    assert found.values > 0.98
