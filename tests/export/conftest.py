"""Encoders with something changed, and a camera in C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.export.camera_program import Program

from heliograph.codec import registry


@pytest.fixture(scope="session")
def altered() -> Callable[[Callable[[Any], None]], bytes]:
    """The accelerator's encoder, which pools, with something changed in its flatbuffer by altered(change)."""
    import flatbuffers
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    encoder = registry.open_codec("accelerator").encoder

    def alter(change: Callable[[Any], None]) -> bytes:
        model = schema.ModelT.InitFromPackedBuf(encoder, 0)
        change(model)
        builder = flatbuffers.Builder(len(encoder))
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    return alter


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The microcontroller's camera."""
    return Program(registry.open_codec("microcontroller"), tmp_path_factory.mktemp("camera"))
