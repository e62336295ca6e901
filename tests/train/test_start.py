"""Runs that begin at a finished codec: its encoder as stage qat left it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.cli import main
from heliograph.codec.codec import Codec
from heliograph.device.encoder import Encoder
from heliograph.errors import TrainingError
from heliograph.pictures import load_srgb
from heliograph.train import checkpoint, start
from heliograph.train.networks import ENCODERS
from heliograph.train.run import File, Run
from heliograph.train.stage1_float import float_model
from heliograph.train.stage2_qat import quantised_model


@pytest.fixture(scope="module")
def run(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run in the shape of the small codec."""
    return replace(finished, folder=tmp_path_factory.mktemp("run"), batch=1)


def test_a_start_is_the_codecs_encoder(codec_folder: Path, run: Run, photos: Path) -> None:
    codec = Codec(codec_folder)
    start.write_start(codec, run)
    assert json.loads((run.folder / "start.json").read_text(encoding="utf-8"))["id"] == codec.id.hex()
    model = quantised_model(run)
    picture = load_srgb(photos / "astronaut.png")[:256, :256]
    latents = 128 * 16 * np.asarray(model.latents(picture[None].astype(np.float32) / 255) / model.unit)[0]
    apart = (latents - Encoder(codec).latents(picture)) / 16
    assert np.abs(apart).mean() < 0.5  # weights were kept in float16
    assert np.asarray(model.unit).min() > 0


def test_a_begun_run_has_no_float_stage_and_is_not_begun_again(
    codec_folder: Path, run: Run, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start.write_start(Codec(codec_folder), run)
    before = run.path(File.START).read_bytes()
    assert train(codec_folder, photos, run.folder, "--stage", "freeze") == 2  # qat is missing
    assert run.path(File.START).read_bytes() == before
    assert train(codec_folder, photos, run.folder, "--stage", "float") == 2
    assert "has no stage float; its first is qat" in capsys.readouterr().err
    assert not run.has(File.FLOAT)


def train(codec: Path, photos: Path, out: Path, *options: str) -> int:
    command = ["train", "--start", str(codec), "--photos", str(photos), "--out", str(out), "--batch", "1"]
    return main([*command, "--steps", "1", *options])


def test_a_smaller_codec_starts_at_the_latents_that_matter_most(
    codec_folder: Path, run: Run, photos: Path, tmp_path: Path
) -> None:
    codec, part = Codec(codec_folder), replace(run, codec="microcontroller", folder=tmp_path)
    start.write_start(codec, run)
    start.write_start(codec, part)
    assert part.has_start
    assert not part.begins_at_codec  # it has a stage float
    large, small = quantised_model(run), float_model(part)
    picture = load_srgb(photos / "astronaut.png")[None, :256, :256].astype(np.float32) / 255
    kept = np.sort(codec.coder.model.order[:192].astype(int))
    middle = np.full((1, 1), 0.5, np.float32)
    step = np.asarray(large.steps(middle))[0, kept]
    assert np.array_equal(np.asarray(small.steps(middle))[0], step)
    apart = (np.asarray(small.latents(picture)) - np.asarray(large.latents(picture))[..., kept]) / step
    assert np.sqrt(np.square(apart).mean()) < 0.25  # roundings to int8 are in it
    for model, least in ((large, 28), (small, 26)):
        shown = np.asarray(model.decoder([np.asarray(model.latents(picture)), middle]))
        assert -10 * np.log10(np.square(shown - picture).mean()) > least


def test_a_codec_of_an_earlier_way_is_refused_with_what_still_works(
    codec_folder: Path, photos: Path, tmp_path: Path
) -> None:
    codec = Codec(codec_folder)
    del codec.manifest["encoder"]["mixed"]
    with pytest.raises(
        TrainingError, match=r"has the form of an earlier way of training.*--stage decoder, calibrate"
    ):
        start.write_start(codec, Run(codec="accelerator", photos=photos, folder=tmp_path / "run"))
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_is_refused_with_what_would(
    codec_folder: Path, run: Run, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codec = Codec(codec_folder)
    for other in (
        replace(ENCODERS["accelerator"], mixed=16),
        replace(ENCODERS["microcontroller"], latent=384),
    ):
        with pytest.raises(TrainingError, match="a start must have the same, or more latents"):
            start.write_start(codec, replace(run, shape=other))
    bare = shutil.copytree(codec_folder, tmp_path / "bare", ignore=shutil.ignore_patterns("training"))
    assert train(bare, photos, tmp_path / "run") == 2
    assert "has no training/qat.npz to start from" in capsys.readouterr().err
    options = ("--codec", str(codec_folder), "--stage", "decoder")
    assert train(codec_folder, photos, tmp_path / "run", *options) == 2
    assert "--start begins a new codec, and --codec names a finished one" in capsys.readouterr().err


def test_what_a_run_keeps_is_enough_to_start_at(codec_folder: Path) -> None:
    kept = codec_folder / "training/qat.npz"
    with np.load(kept) as stored:
        assert not any(key.startswith("1:") for key in stored.files)  # no optimiser
    assert checkpoint.as_start(kept)
