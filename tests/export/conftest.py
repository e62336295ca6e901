"""Encoders with something changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from heliograph.codec.manifest import Codec


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
