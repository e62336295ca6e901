"""The link's ends as real processes on a simulated line: timed, killed, and beside lrzsz."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("serial")
pytest.importorskip("cobs")

from heliograph.bench.link_processes import SimulatedLine, survive, time_lrzsz, time_ours


def test_a_line_has_two_ends_and_ends_with_its_block() -> None:
    with SimulatedLine("--baud", "460800") as line:
        assert len(line.ends) == 2
        assert all(Path(end).is_char_device() for end in line.ends)
    assert not any(Path(end).exists() for end in line.ends)


def test_a_transfer_is_timed() -> None:
    found = time_ours(460800, count=2, size=3000, limit=60)
    assert found.arrived
    assert found.seconds > 2 * 3000 * 10 / 460800  # no faster than the line
    assert 0 < found.goodput < 1
    assert found.cpu >= 0


def test_what_does_not_arrive_in_time_has_no_goodput() -> None:
    found = time_ours(300, count=1, size=3000, limit=4)  # the line alone would take 100 s
    assert not found.arrived
    assert found.goodput == 0


def test_ends_without_kills_or_cuts_lose_nothing(tmp_path: Path) -> None:
    found = survive(tmp_path, pictures=3, size=1000, kills=1, cuts=0, baud=460800, seed=1, limit=60)
    assert found.is_perfect, found
    assert (found.sent, found.kills) == (3, 1)


def test_programs_that_are_not_installed_are_not_timed() -> None:
    assert time_lrzsz(["no-such-sender"], [sys.executable], 115200, size=10, limit=1) is None


@pytest.mark.skipif(not shutil.which("sz"), reason="no ZMODEM here: apt-get install lrzsz")
def test_zmodem_is_timed() -> None:
    found = time_lrzsz(["sz", "-b", "-q"], ["rz", "-b", "-q"], 460800, size=3000, limit=30)
    assert found is not None
    assert found.arrived
    assert 0 < found.goodput < 1
