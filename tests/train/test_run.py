"""What a run's folder holds, which stages are done, and which are left."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.codec import registry
from heliograph.errors import TrainingError
from heliograph.train.run import KEPT, SHARES, SUPPLIES, File, Run, effort, kept_checkpoint


@pytest.fixture
def run(tmp_path: Path, photos: Path) -> Run:
    return Run(codec="microcontroller", photos=photos, folder=tmp_path)


def touch(run: Run, file: File, seconds: int) -> None:
    run.path(file).write_bytes(b"x")
    os.utime(run.path(file), (seconds, seconds))


def test_files_keep_the_names_that_runs_on_disks_have(run: Run) -> None:
    names = {file.filename for file in File}
    assert len(names) == len(File)
    assert {"start.npz", "float.npz", "qat.npz", "frozen.npz", "encoder.npz", "encoder.tflite"} < names
    assert {"steps.npz", "decoder_start.npz", "contexts.npz", "entropy.bin", "decoder.npz"} < names
    assert {"decoder_fitted.npz", "preview.npz", "preview_qat.npz", "preview_quantised.npz"} < names
    assert run.path(File.PREVIEW).name == "decoder.tflite"
    assert {file.stage for file in File} == set(SHARES)


def test_a_missing_file_names_the_stage_that_leaves_it(run: Run) -> None:
    with pytest.raises(
        TrainingError, match=r"steps.npz is missing: run stage freeze first \(--stage freeze\)"
    ):
        run.need(File.STEPS)


def test_a_stage_is_done_while_its_result_is_newer_than_its_source(run: Run) -> None:
    assert not run.is_done("freeze")
    touch(run, File.ENCODER, 100)
    assert not run.is_done("freeze")
    touch(run, File.QAT, 100)
    assert run.is_done("freeze")
    touch(run, File.QAT, 101)
    assert not run.is_done("freeze")
    touch(run, File.ENCODER_WEIGHTS, 100)
    touch(run, File.ENTROPY, 99)
    assert not run.is_done("tables")
    touch(run, File.ENTROPY, 102)
    assert run.is_done("tables")
    touch(run, File.DECODER_FITTED, 103)
    assert not run.is_done("decoder")  # whose loop knows from its checkpoint
    assert not run.is_complete
    touch(run, File.PREVIEW, 104)
    assert run.is_complete


def test_a_run_that_began_at_a_codec_has_no_stage_float(run: Run) -> None:
    assert list(run.shares()) == ["float", "qat", "freeze", "tables", "decoder", "preview"]
    assert sum(run.shares().values()) == pytest.approx(1)
    touch(run, File.START, 1)
    assert list(run.shares()) == ["qat", "freeze", "tables", "decoder", "preview"]
    assert run.shares()["qat"] == pytest.approx(0.41 + 0.13)


def test_every_supply_draws_its_own_crops(run: Run) -> None:
    assert len(set(SUPPLIES.values())) == len(SUPPLIES)
    assert run.crops("qat").seed == 102
    assert run.crops("qat", batch=3, size=32)[0][0]["image"].shape == (3, 32, 32, 3)


def test_some_crops_are_of_fixed_cameras_and_none_of_what_is_held_out(run: Run, tmp_path: Path) -> None:
    for name in ("photos/0001a", "photos/0021a", "sites/river/0001", "sites/river/0005"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64)).save(tmp_path / f"{name}.png")
    both = replace(run, photos=tmp_path / "photos", sites=tmp_path / "sites")
    crops = both.crops("qat")
    shares = {file.stem: share for file, share in zip(crops.files, crops.weights, strict=True)}
    assert shares == pytest.approx({"0001a": 0.94, "0021a": 0, "0001": 0.06, "0005": 0})
    photos, sites = both.held_out()
    assert [p.stem for p in photos] == ["0021a"]
    assert [p.stem for p in sites] == ["0005"]
    assert run.held_out() == ([], [])  # the sample pictures have no numbers


def test_a_log_ends_with_what_was_done(run: Run) -> None:
    log = run.log(File.CONTEXTS)
    assert log.name == "contexts.csv"
    log.write_text("step,seconds,loss\n200,10.2,3\n310,15.6,2\n", encoding="utf-8")
    assert effort(log) == {"steps": 310, "seconds": 16}
    log.with_suffix(".classes.csv").write_text("step,seconds,class\n", encoding="utf-8")
    assert run.logs() == [log]
    assert run.curves() == [log.with_suffix(".classes.csv")]
    log.write_text("step,seconds,loss\n", encoding="utf-8")
    assert effort(log) == {}


@pytest.mark.parametrize("name", ["accelerator", "microcontroller"])
def test_shipped_codecs_keep_what_runs_start_at(name: str) -> None:
    codec = registry.open_codec(name)
    for file in KEPT:
        with np.load(kept_checkpoint(codec, file)) as stored:
            assert not any(key.startswith("1:") for key in stored.files)
