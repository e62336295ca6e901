"""The figures of the link keep their floors; the long ones are slow."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("cobs")

from heliograph.bench.link import KEY, goodput, main
from heliograph.bench.link_one_way import what_arrives
from heliograph.link.simulate.line import Faults

GOLDEN = Path(__file__).parents[1] / "golden"


def test_goodput_of_a_clean_line() -> None:
    assert goodput(115200, count=15) >= 0.92


@pytest.mark.slow
def test_goodput_of_bad_lines() -> None:
    pytest.importorskip("cryptography")
    assert goodput(115200, Faults(bit_error=1e-4)) >= 0.70
    assert goodput(115200, Faults(write_loss=0.1)) >= 0.80
    assert goodput(115200, delay=0.2) >= 0.90
    assert goodput(115200, key=KEY) >= 0.92


def test_one_way_without_loss_and_with_all_lost() -> None:
    data = (GOLDEN / "slices.helio").read_bytes()
    assert what_arrives(data, 0.0, 1) == data
    assert what_arrives(data, 1.0, 1) == b""
    assert 0 < len(what_arrives(data, 0.3, 2)) <= len(data)


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "choose from goodput, survival, one-way, cpu, others" in capsys.readouterr().err
