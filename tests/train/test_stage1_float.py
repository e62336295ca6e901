"""Stage float: a seed repeats it, it goes on from its checkpoint, and it leaves a curve of each class of pictures."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.server.network import DecoderSpec
from heliograph.train import checkpoint
from heliograph.train.loop import Budget
from heliograph.train.networks import EncoderSpec
from heliograph.train.run import File, Run
from heliograph.train.stage1_float import float_model, train_float


@pytest.fixture
def run(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A small run whose log has no lines but the last: a busy machine takes minutes for its first step."""
    monkeypatch.setattr("heliograph.train.loop.CHECKPOINT_SECONDS", 1e9)
    decoder = DecoderSpec(widths=(16, 16, 8, 8), blocks=(1, 1, 1, 1))
    shape = EncoderSpec(middle=24, latent=64, pooled=4, squeezed=8, mixed=8, tile=96)
    folder = tmp_path / "run"
    return Run("microcontroller", photos, folder, batch=1, size=96, joint_decoder=decoder, shape=shape)


def losses(run: Run) -> list[tuple[str, str]]:
    """Return steps and losses in the stage's log."""
    with run.log(File.FLOAT).open(newline="", encoding="utf-8") as handle:
        return [(row["step"], row["loss"]) for row in csv.DictReader(handle)]


@pytest.mark.slow
def test_a_seed_repeats_the_stage_and_resuming_goes_on(run: Run, tmp_path: Path) -> None:
    other = replace(run, folder=tmp_path / "other")
    train_float(run, Budget(0, 2))
    train_float(other, Budget(0, 2))
    assert losses(run) == losses(other)
    assert [step for step, _ in losses(run)] == ["2"]
    train_float(replace(run, resume=True), Budget(0, 3))
    assert [step for step, _ in losses(run)] == ["2", "3"]
    (curve,) = run.curves()
    with curve.open(newline="", encoding="utf-8") as handle:
        assert {row["step"] for row in csv.DictReader(handle)} == {"2", "3"}
    assert run.logs() == [run.log(File.FLOAT)]  # not among the logs, whose last lines are a stage's effort


@pytest.mark.slow
def test_a_kept_checkpoint_is_small_and_a_start_goes_on_without_steps_behind_it(run: Run) -> None:
    train_float(run, Budget(0, 2))
    path = run.path(File.FLOAT)
    assert len(checkpoint.to_keep(path)) < len(path.read_bytes()) / 5
    path.write_bytes(checkpoint.to_keep(path))
    path.write_bytes(checkpoint.as_start(path))
    train_float(replace(run, resume=True), Budget(0, 1))
    assert [step for step, _ in losses(run)] == ["2", "1"]


def test_the_start_is_a_transform_coder(run: Run) -> None:
    shape = EncoderSpec(middle=96, latent=64, pooled=4, squeezed=8, mixed=8, tile=96)
    model = float_model(replace(run, shape=shape))
    grey = np.full((1, 32, 32, 3), 0.75, np.float32)
    latents = np.asarray(model.encoder(grey))
    # The first function of the DCT is the block's mean over 768 samples: sqrt(768) times what is above 0.5.
    assert latents[0, 0, 0, 0] == pytest.approx(0.25 * 768**0.5, rel=1e-4)
    assert np.abs(latents[..., 1:]).max() < 1e-4
    shown = np.asarray(model.decoder([latents, np.ones((1, 1), np.float32)]))
    assert shown == pytest.approx(np.full_like(grey, 0.75), abs=1e-3)
