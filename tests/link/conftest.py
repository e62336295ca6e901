"""Fixtures of the link's tests: spools in memory, two ends on a simulated line."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from heliograph.codec import container
from heliograph.link.simulate.spool import MemorySpool


def stream_of(seed: int, sizes: tuple[int, ...] = (400, 700, 900)) -> bytes:
    """Return a container of one slice with a layer of each size, of random bytes."""
    draw = random.Random(seed)
    header = container.Header(seed.to_bytes(8, "little"), 640, 480, 500, len(sizes))
    return container.pack(header, [draw.randbytes(size) for size in sizes])


def name_of(number: int, data: bytes) -> str:
    return f"20260101T{number:06d}.000000Z-{hashlib.sha256(data).hexdigest()[:8]}.helio"


@pytest.fixture(scope="session")
def make_spool() -> Callable[..., MemorySpool]:
    """Return a spool of `count` streams with layers of `sizes` bytes."""

    def make(count: int, sizes: tuple[int, ...] = (400, 700, 900), seed: int = 0) -> MemorySpool:
        made = [stream_of(1000 * seed + n, sizes) for n in range(count)]
        return MemorySpool({name_of(n, data): data for n, data in enumerate(made)})

    return make


@pytest.fixture(scope="session")
def vectors() -> Any:
    """The file of vectors."""
    return json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))


@pytest.fixture
def whole_files() -> Callable[[Path], dict[str, bytes]]:
    """Return the whole streams in a folder, by name."""
    return lambda folder: {path.name: path.read_bytes() for path in folder.glob("*.helio")}


@pytest.fixture(scope="session")
def no_sync() -> Callable[[], Any]:
    """Leave fsync out, for property tests that need no power cut."""

    @contextmanager
    def without() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("os.fsync", lambda descriptor: None)
            yield

    return without
