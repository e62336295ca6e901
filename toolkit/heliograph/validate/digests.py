"""Digests of values: what a stream's maker says it holds, so that another machine can prove it reads the same.

`NAME.helio.digest` beside NAME.helio is JSON: the SHA-256 of the values that the maker itself decoded from
the stream, and what made it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.codec.codec import Codec
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.errors import HeliographError, StreamError
from heliograph.files import read_regular
from heliograph.server.decoders import read_stream

SUFFIX = ".digest"
MOST_BYTES = 1 << 16  # of a digest
_HEAD = struct.Struct("<8sIIHHHH")


def digest(decoded: Decoded) -> str:
    """Return the SHA-256, in hexadecimal, of a stream's integers.

    It is taken over codec id, width, height, level and the values' shape, little endian, then the values int16 in
    the encoder's channel order.
    """
    rows, columns, channels = decoded.values.shape
    head = _HEAD.pack(decoded.codec.id, decoded.width, decoded.height, decoded.level, rows, columns, channels)
    return hashlib.sha256(head + np.ascontiguousarray(decoded.values, "<i2").tobytes()).hexdigest()


def beside(stream: Path) -> Path:
    """Return the place of a stream's digest."""
    return stream.with_name(stream.name + SUFFIX)


def record(data: bytes, codec: Codec, runtime: str) -> bytes:
    """Return the digest file of a stream just made; the stream is decoded here, by the maker's own coder."""
    decoded = decode_stream(data, codec)
    facts = {
        "values_sha256": digest(decoded),
        "stream_sha256": hashlib.sha256(data).hexdigest(),
        "codec": codec.id.hex(),
        "runtime": runtime,
        "coder": "C" if codec.coder.is_native else "Python",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
    }
    return (json.dumps(facts, indent=1) + "\n").encode()


@dataclass(frozen=True)
class Checked:
    """A stream against its digest: `problem` is empty where the values are those its maker recorded."""

    stream: str
    made_by: str
    problem: str = ""


def check(path: Path, extra: Codec | None = None) -> Checked:
    """Decode a stream made elsewhere and compare it with the digest beside it."""
    place = beside(path)
    try:
        facts: dict[str, Any] = json.loads(read_regular(place, MOST_BYTES))
        expected = str(facts["values_sha256"])
        made_by = (
            f"{facts.get('machine')}, {facts.get('runtime')}, {facts.get('coder')} coder, "
            f"Python {facts.get('python')}, numpy {facts.get('numpy')}"
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"cannot read {place.name}: {error!r}; encode with --with-digest"
        return Checked(str(path), "unknown", problem)
    try:
        data = read_stream(path)
        if hashlib.sha256(data).hexdigest() != facts.get("stream_sha256"):
            return Checked(str(path), made_by, "the stream is not the one that the digest was taken of")
        value_digest = digest(decode_stream(data, extra))
    except HeliographError as error:
        return Checked(str(path), made_by, str(error))
    if value_digest != expected:
        problem = f"decodes to values {value_digest[:12]}, its maker recorded {expected[:12]}"
        return Checked(str(path), made_by, problem)
    return Checked(str(path), made_by)


def check_folder(folder: Path, extra: Codec | None = None) -> list[Checked]:
    """Check all streams below a folder; StreamError if there is none."""
    streams = sorted(folder.rglob("*.helio"))
    if not streams:
        raise StreamError(f"no .helio streams in {folder}: make some with heliograph encode --with-digest")
    return [check(path, extra) for path in streams]
