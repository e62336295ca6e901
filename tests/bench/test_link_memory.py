"""A fixed camera with site memory whose ends are killed: what arrives is what was taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("serial")
pytest.importorskip("cobs")

from heliograph.bench.link_memory import SIZE, number_of, scene, survive_with_memory


def test_a_number_is_read_from_the_pixels() -> None:
    ground = np.full((SIZE, SIZE, 3), 120.0)
    assert [number_of(scene(number, ground)) for number in (0, 1, 129, 255)] == [0, 1, 129, 255]


@pytest.mark.slow
def test_all_arrive_though_both_ends_were_killed(tmp_path: Path) -> None:
    found = survive_with_memory(
        tmp_path, pictures=6, kills=2, cuts=1, baud=115200, seed=2, pause=4.0, limit=120
    )
    assert found.is_perfect, found
    assert (found.made, found.right, found.kills) == (6, 6, 2)
