"""Streams and plans for the tests of packets."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crc32c import crc32c

from heliograph.packets.packetizer import Packetizer
from heliograph.packets.plan import Layer, Plan

Make = Callable[..., Packetizer]


@pytest.fixture(scope="session")
def vectors() -> Any:
    """The bytes of PACKETS.md."""
    return json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))


@pytest.fixture
def packetizer() -> Make:
    """Makes a packetizer of random bytes that fill the layers but for a few."""

    def make(
        *layers: tuple[int, int],
        device: int = 7,
        picture: int = 0,
        parts: int = 1,
        seed: int = 0,
        spare: int = 3,
        key: bytes | None = None,
    ) -> Packetizer:
        made = tuple(Layer(*layer) for layer in layers)
        head = len(Plan(1 << 10, 0, made, 0, parts).to_bytes())
        size = parts * (sum(layer.needed * layer.width for layer in made) - head) - spare
        stream = random.Random(seed).randbytes(size)
        return Packetizer(stream, Plan(size, crc32c(stream), made, 0, parts), device, picture, key=key)

    return make
