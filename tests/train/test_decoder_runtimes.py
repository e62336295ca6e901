"""Runtimes of the server decoder, on one small picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.train.experiments import decoder_runtimes


@pytest.mark.slow
def test_runtimes_agree(codec_folder: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert decoder_runtimes.main([str(codec_folder), str(photo)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:16].strip() for line in lines[:2]] == ["TensorFlow", "LiteRT, float"]
    assert lines[0].endswith("at most 0.0000 levels apart")
    for line in lines:
        speed, apart = float(line[16:].split()[0]), float(line.split()[-3])
        assert speed > 0
        assert apart < 0.1
    assert decoder_runtimes.main(["none", "none.png"]) == 2
    assert capsys.readouterr().err.startswith("decoder_runtimes: no codec named")
