"""The figures of the link keep their floors; the long ones are slow."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("cobs")

from heliograph.bench import link
from heliograph.bench.link import KEY, goodput, main
from heliograph.bench.link_processes import survive, time_ours
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


def test_goodput_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cryptography")
    monkeypatch.setattr(link, "goodput", partial(goodput, count=2))
    assert main(["goodput"]) == 0
    shares = [
        float(s)
        for pair in re.findall(r"([\d.]+)%   with a key +([\d.]+)%", capsys.readouterr().out)
        for s in pair
    ]
    assert len(shares) == 14
    assert 0 < min(shares) <= max(shares) < 100


@pytest.mark.slow
def test_parts_with_processes_print_their_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the command, on loads of a few hundred bytes instead of its own."""
    pytest.importorskip("serial")
    few = {"pictures": 2, "size": 500, "kills": 1, "cuts": 0, "limit": 60}
    short = {"count": 1, "size": 500, "faults": ()}
    monkeypatch.setattr(link, "survive", lambda folder, **given: survive(folder, **given | few))
    monkeypatch.setattr(link, "time_ours", lambda baud, **given: time_ours(baud, **given | short))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["survival", "cpu", "others"]) == 0
    out = capsys.readouterr().out
    assert out.count("2 of 2 byte-identical, 0 twice, 0 left over") == 2
    assert len(re.findall(r"baud: [\d.]+% over [\d.]+ s", out)) == 2
    assert len(re.findall(r"heliograph +[\d.]+% in", out)) == 5
    assert out.count("not installed: apt-get install lrzsz") == 10


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "choose from goodput, survival, memory, cpu, others" in capsys.readouterr().err
