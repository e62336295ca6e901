"""Training from the command line: stages one by one, what is refused, a full disk, and a call that must stop."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from heliograph.cli import main
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.commands import train as command
from heliograph.device.encoder import Encoder
from heliograph.pictures import load_srgb
from heliograph.server.decoder import ServerDecoder
from heliograph.train import stages
from heliograph.train.run import SHARES, Run
from heliograph.train.stages import STAGES


def train(photos: Path, out: Path, *options: object) -> int:
    command = ["train", "--codec", "microcontroller", "--photos", str(photos), "--out", str(out)]
    return main([*command, "--batch", "1", *map(str, options)])


def test_a_stage_without_the_one_before(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(photos, tmp_path / "run", "--stage", "tables", "--steps", "1") == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.endswith("is missing: run stage freeze first (--stage freeze)")


def test_an_unknown_codec(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--codec", "heliostat", "--photos", str(photos), "--out", str(tmp_path / "run")]
    assert main([*command, "--steps", "1"]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "no codec 'heliostat' can be trained: choose from accelerator, microcontroller" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_full_disk_stops_training_with_a_next_step(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        assert train(photos, disk, "--stage", "float", "--steps", "1") == 2
        message = capsys.readouterr().err.splitlines()[-1]
        assert "No space left on device" in message
        assert message.endswith("then run the same command with --resume")
        assert not [p.name for p in disk.iterdir() if p.suffix != ".csv"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_call_that_must_stop_says_how_to_go_on(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(photos, tmp_path, "--steps", "1000", "--stop-after", "0.0001") == 0
    printed = capsys.readouterr().out.strip()
    assert printed == "float stopped at 0% of its budget; the same command with --resume goes on"
    assert not (tmp_path / "qat.npz").exists()


def test_the_command_offers_the_stages_in_their_order() -> None:
    assert command.STAGES == tuple(SHARES) == tuple(STAGES)


def test_a_finished_run_is_a_codec_that_encodes_and_decodes(finished: Run, codec_folder: Path) -> None:
    assert finished.is_complete
    codec, picture = Codec(codec_folder), load_srgb(finished.photos / "astronaut.png")
    decoded = decode_stream(Encoder(codec).encode(picture, Rate(quality=90)), codec)
    shown = ServerDecoder(codec).decode(decoded)
    assert ((shown / 255 - picture / 255) ** 2).mean() < 0.002  # over 27 dB, a DCT's worth


def test_too_few_minutes_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    run = Run(codec="accelerator", photos=tmp_path, folder=tmp_path / "run")
    monkeypatch.setattr(stages, "STAGES", dict.fromkeys(stages.STAGES, lambda run, budget: time.sleep(0.05)))
    stages.train(run, 3, say=told.append)
    assert [line.split(",")[0] for line in told] == ["3 minutes show that training works"]
    told.clear()
    stages.train(run, 0.001, say=told.append)
    assert told[1].startswith("this took 0.0 minutes and not 0.001: a trained stage takes 100 steps at least")
    told.clear()
    stages.train(run, 60, say=told.append)
    stages.train(run, 3, steps=2, say=told.append)
    assert told == []
