"""Training from the command line: stages one by one, resuming, a seed that repeats, and a full disk."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path

import numpy as np
import pytest

from heliograph.cli import main
from heliograph.pictures import load_srgb
from heliograph.samples import copy_samples
from heliograph.train import fitting, stages
from heliograph.train.loop import Budget, as_start, weights_to_keep
from heliograph.train.simulated import SimulatedEncoder
from heliograph.train.stages import Plan


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_samples(tmp_path_factory.mktemp("photos"))


def train(photos: Path, out: Path, *options: object) -> int:
    command = ["train", "--codec", "microcontroller", "--photos", str(photos), "--out", str(out)]
    return main([*command, "--batch", "1", *map(str, options)])


def losses(out: Path) -> list[tuple[str, str]]:
    with (out / "float.csv").open(newline="", encoding="utf-8") as handle:
        return [(row["step"], row["loss"]) for row in csv.DictReader(handle)]


def test_a_seed_repeats_a_run_and_resuming_goes_on(photos: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert train(photos, first, "--stage", "float", "--steps", "2") == 0
    assert train(photos, second, "--stage", "float", "--steps", "2") == 0
    assert losses(first) == losses(second)
    assert [step for step, _ in losses(first)] == ["2"]
    assert train(photos, first, "--stage", "float", "--steps", "3", "--resume") == 0
    assert [step for step, _ in losses(first)] == ["2", "3"]


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


def test_a_kept_checkpoint_is_small_and_goes_on(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(photos, run, "--stage", "float", "--steps", "2") == 0
    whole = (run / "float.npz").read_bytes()
    kept = weights_to_keep(run / "float.npz")
    assert len(kept) < len(whole) / 5
    (run / "float.npz").write_bytes(kept)
    assert train(photos, run, "--stage", "float", "--steps", "3", "--resume") == 0
    assert [step for step, _ in losses(run)] == ["2", "3"]


def test_a_call_that_must_stop_says_how_to_go_on(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(photos, tmp_path, "--steps", "1000", "--stop-after", "0.0001") == 0
    printed = capsys.readouterr().out.strip()
    assert printed == "float stopped at 0% of its budget; the same command with --resume goes on"
    assert not (tmp_path / "qat.npz").exists()


def test_a_start_has_weights_and_no_steps_behind_it(photos: Path, tmp_path: Path) -> None:
    assert train(photos, tmp_path, "--stage", "float", "--steps", "2") == 0
    (tmp_path / "float.npz").write_bytes(as_start(tmp_path / "float.npz"))
    assert train(photos, tmp_path, "--stage", "float", "--steps", "1", "--resume") == 0
    assert [step for step, _ in losses(tmp_path)] == ["2", "1"]


def test_without_a_runtime_the_encoder_is_computed_by_keras(photos: Path, tmp_path: Path) -> None:
    plan = Plan(codec="microcontroller", photos=photos, out=tmp_path, batch=1)
    stages.train_float(plan, Budget(0, 1), resume=False)
    stages.train_qat(plan, Budget(0, 1), resume=False)
    fitting.freeze(plan)
    picture = load_srgb(next(photos.glob("*.png")))[:100, :200]
    real = fitting.frozen_encoder(plan).latents(picture)
    simulated = SimulatedEncoder(plan.codec, tmp_path / "encoder.npz").latents(picture)
    assert np.mean(real == simulated) > 0.99
    assert np.abs(real.astype(int) - simulated).max() <= 1


def test_pure_colours_fit_the_ranges(photos: Path, tmp_path: Path) -> None:
    plan = Plan(codec="microcontroller", photos=photos, out=tmp_path, batch=1)
    stages.train_float(plan, Budget(0, 1), resume=False)
    model = stages.quantised_model(plan)
    colours = np.array([[0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1]], np.float32)
    latents = np.asarray(model.encoder(np.tile(colours[:, None, None], (1, 64, 64, 1))))
    shown = np.asarray(model.decoder([latents * np.asarray(model.unit), np.ones((4, 1), np.float32)]))
    assert np.abs(shown.mean(axis=(1, 2)) - colours).max() < 0.05  # without room for them, 0.25
