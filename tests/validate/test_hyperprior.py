"""The comparison with CompressAI: its table, and what it says where CompressAI is missing."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from heliograph.errors import RuntimeUnavailableError
from heliograph.validate import hyperprior
from heliograph.validate.hyperprior import Contestant

TIMES = {"analyse": 0.1, "code": 0.4, "entropy": 0.2, "network": 0.8}


def test_ratios_compare_the_best_rounds() -> None:
    ours = Contestant("ours", 2.0, 11.0, bytes=300_000)
    ours.seconds = [TIMES, {**TIMES, "network": 8.0}, TIMES]
    theirs = Contestant("theirs", 37.0, 37.0, "untrained")
    theirs.seconds = [{part: 10 * t for part, t in TIMES.items()}]
    first, second, head, *lines = hyperprior.rows([ours, theirs], 2.0)
    assert first == "ours: encoder 2.0, decoder 11.0 kMAC per pixel; 0.40 bits per pixel"
    assert second == "theirs: encoder 37.0, decoder 37.0 kMAC per pixel; untrained"
    assert head.split() == ["megapixels", "per", "second", "ours", "hyperprior", "ratio"]
    assert lines[0].split() == ["encoder", "network", "20.00", "2.00", "10.0"]
    assert lines[-1].split() == ["decoding", "together", "2.00", "0.20", "10.0"]


def test_pictures_are_cut_to_what_both_networks_take() -> None:
    pictures = [np.zeros((130, 70, 3), np.uint8), np.zeros((63, 200, 3), np.uint8)]
    assert [p.shape for p in hyperprior.cut(pictures)] == [(128, 64, 3)]


def test_time_of_a_part_adds_up_within_a_round() -> None:
    contestant = Contestant("any", 1.0, 1.0, seconds=[{}])
    assert contestant.add("code", lambda: 7) == 7
    once = contestant.seconds[0]["code"]
    contestant.add("code", lambda: None)
    assert contestant.seconds[0]["code"] > once > 0


@pytest.mark.skipif(importlib.util.find_spec("compressai") is not None, reason="CompressAI is installed")
def test_without_compressai_it_says_what_to_install() -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"pip install 'heliograph\[hyperprior\]'"):
        hyperprior.open_hyperprior(4)
