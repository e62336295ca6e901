"""The measurement of throughput, on a handful of small pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from heliograph.bench import throughput
from heliograph.codec.codec import Codec
from heliograph.server.decoders import Decoder


def test_every_stage_is_measured(codec_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--codec", str(codec_folder), "--decoders", "preview", "--sizes", "64x48", "--count", "6"]
    assert throughput.main([*command, "--peak", "0.001"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"preview decoder: \d+\.\d\d MP/s end to end, \d+\.\d\d pictures/s", printed)
    stages = re.search(r"entropy ([\d.]+), network ([\d.]+), write ([\d.]+)", printed)
    assert stages is not None
    end_to_end = re.search(r"([\d.]+) MP/s end", printed)
    assert end_to_end is not None
    # Rounded to 0.01 each; the network runs in one thread, so all of it cannot be faster than that.
    assert float(end_to_end[1]) <= float(stages[2]) + 0.01
    assert "% of the peak" in printed


def test_pixels_are_counted_once(codec: Codec) -> None:
    streams = throughput.make_streams(codec, [(64, 48), (40, 40)])
    assert len(streams) == 6
    found = throughput.measure(Decoder(codec, "preview"), streams, 12)
    assert found.stages.pixels == 2 * 3 * (64 * 48 + 40 * 40)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_streams(codec: Codec) -> None:
    streams = throughput.make_streams(codec, [(32, 32), (48, 32), (32, 64)])
    marks = throughput.memory(Decoder(codec, "server"), streams, 10_000)
    assert [done for done, _ in marks] == list(range(1000, 10_001, 1000))
    assert marks[-1][1] - marks[0][1] < 30  # MB over 9,000 streams
