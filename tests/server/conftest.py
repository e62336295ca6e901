"""What tests of the folder that a receiver writes have in common."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec import container
from heliograph.codec.pack import Packed
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder
from heliograph.link.transfer.partial import Partial
from heliograph.link.transfer.ranges import RangeSet

Picture = npt.NDArray[np.uint8]
Arrive = Callable[..., Path]


@pytest.fixture(scope="session")
def arrive() -> Arrive:
    """Let runs of a stream's bytes arrive, as the receiver does: arrive(folder, device, name, data, [(0, 100)])."""

    def write(
        folder: Path, device: str, name: str, data: bytes, runs: Iterable[tuple[int, int]] = ()
    ) -> Path:
        (folder / device).mkdir(parents=True, exist_ok=True)
        partial = Partial(folder / device, name, len(data), hashlib.sha256(data).digest(), RangeSet())
        partial.load()
        for start, stop in runs:
            partial.write(start, data[start:stop])
        partial.sync()
        if partial.is_whole:
            partial.data_path.replace(folder / device / name)
            partial.state_path.unlink()
        time.sleep(0.01)  # times of files are as coarse as the kernel's tick: the next to arrive is later
        return folder / device / name

    return write


@pytest.fixture(scope="session")
def packed(encoder: Encoder, paint: Callable[[int, int], Picture]) -> list[Packed]:
    """Four pictures, each referring to the one before it."""
    pictures: list[Packed] = []
    for number in range(4):
        there = [pictures[-1].as_reference()] if pictures else []
        picture = paint(97, 61)
        picture[8 * number : 8 * number + 8, 20:50] = (9, 9, 200)
        pictures.append(encoder.pack(picture, Rate(quality=75), there))
    assert [container.open(one.data).header.depth for one in pictures] == [0, 1, 2, 3]
    return pictures
