"""Models that fit and models that do not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.codec.manifest import Codec


@pytest.fixture(scope="session")
def bad_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stride4.tflite, shuffled.tflite and float.tflite; the converter leaks, so in its own process."""
    folder = tmp_path_factory.mktemp("bad_models")
    script = Path(__file__).with_name("bad_models.py")
    done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def altered(shipped: Codec) -> Callable[[Callable[[Any], None]], bytes]:
    """The shipped encoder with something changed in its flatbuffer: altered(change) where change(model) edits it."""
    import flatbuffers
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    def alter(change: Callable[[Any], None]) -> bytes:
        model = schema.ModelT.InitFromPackedBuf(shipped.encoder, 0)
        change(model)
        builder = flatbuffers.Builder(len(shipped.encoder))
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    return alter
