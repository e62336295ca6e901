"""What tests of the folder that a receiver writes have in common."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from heliograph.link.transfer.partial import Partial
from heliograph.link.transfer.ranges import RangeSet

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
