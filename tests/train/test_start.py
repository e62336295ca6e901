"""Runs that begin at a finished codec: the same networks, or more latent channels that help before any training."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.cli import main
from heliograph.codec import registry
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import TrainingError
from heliograph.pictures import load_srgb
from heliograph.server.decoder import ServerDecoder, decoder_spec
from heliograph.train import checkpoint, start
from heliograph.train.networks import ENCODERS
from heliograph.train.objective import EncoderObjective
from heliograph.train.run import Run
from heliograph.train.stage2_qat import quantised_model

FINEST = np.ones((1, 1), np.float32)


@pytest.fixture(scope="module")
def run(codec_folder: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run in the shape of the small codec."""
    shape = decoder_spec(Codec(codec_folder))
    return Run(
        codec="accelerator", photos=photos, folder=tmp_path_factory.mktemp("run"), batch=1, decoder=shape
    )


def error(model: EncoderObjective, photos: Path) -> float:
    """Return the mean squared error of a picture at the finest steps."""
    image = load_srgb(photos / "astronaut.png")[None, :512, :512].astype(np.float32) / 255
    step = np.asarray(model.steps(FINEST))[0]
    latents = np.asarray(model.encoder(image)) * np.asarray(model.unit)
    shown = np.asarray(model.decoder([np.round(latents / step) * step, FINEST]))
    return float(np.square(shown - image).mean())


def test_a_start_draws_what_the_codec_draws(codec_folder: Path, run: Run, photos: Path) -> None:
    codec = Codec(codec_folder)
    start.write_start(codec, run)
    assert json.loads((run.folder / "start.json").read_text(encoding="utf-8"))["id"] == codec.id.hex()
    begun, known = quantised_model(run), start.codec_model(codec, run)
    assert error(begun, photos) == pytest.approx(
        error(known, photos), rel=0.15
    )  # hardly trained: every rounding shows


@pytest.mark.parametrize("name", ["accelerator", "microcontroller"])
def test_what_a_shipped_codec_keeps_is_in_its_decoders_units(name: str, photos: Path, tmp_path: Path) -> None:
    codec = registry.open_codec(name)
    known = start.codec_model(codec, Run(codec=name, photos=photos, folder=tmp_path))
    picture = load_srgb(photos / "astronaut.png")
    shown = ServerDecoder(codec).decode(
        decode_stream(Encoder(codec).encode(picture, Rate(quality=100)), codec)
    )
    drawn = float(np.square(shown / 255 - picture / 255).mean())
    assert error(known, photos) < 1.1 * drawn


def test_more_channels_help_before_any_training(codec_folder: Path, run: Run, photos: Path) -> None:
    known = start.codec_model(Codec(codec_folder), run)
    channels = known.encoder.output.shape[-1]
    spec = replace(ENCODERS["accelerator"], latent=channels + 8)
    wider = start.widen(known, spec, run.decoder, run.crops("more channels", batch=2, size=256), batches=8)
    image = load_srgb(photos / "astronaut.png")[None, :256, :256].astype(np.float32) / 255
    before, after = np.asarray(known.encoder(image)), np.asarray(wider.encoder(image))
    assert after.shape[-1] == channels + 8
    assert np.allclose(after[..., :channels], before, atol=1e-5)
    assert error(wider, photos) < error(known, photos)
    kernel = np.asarray(wider.decoder.get_layer("inverse").kernel)[0, 0, channels:]  # [8, 768]
    assert np.allclose(kernel @ kernel.T, np.eye(8), atol=1e-4)
    assert np.all(np.isfinite(np.asarray(wider.log_step)))
    assert np.asarray(wider.density).shape[1] == channels + 8


def test_another_decoder_starts_at_the_codecs_linear_path(codec_folder: Path, run: Run) -> None:
    codec, other = Codec(codec_folder), replace(run.decoder, blocks=(2, 1, 1, 1))
    known = start.codec_model(codec, run)
    other_model = start.codec_model(codec, replace(run, decoder=other))
    for name in ("inverse", "latent_norm"):
        pair = (m.decoder.get_layer(name).get_weights() for m in (known, other_model))
        assert all(np.array_equal(a, b) for a, b in zip(*pair, strict=True))


def train(codec: Path, photos: Path, out: Path, *options: str) -> int:
    command = ["train", "--start", str(codec), "--photos", str(photos), "--out", str(out), "--batch", "1"]
    return main([*command, "--steps", "1", *options])


def test_a_run_that_begins_at_a_codec_has_no_float_stage(
    codec_folder: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(codec_folder, photos, tmp_path, "--stage", "qat") == 0
    assert not (tmp_path / "float.npz").exists()
    with np.load(tmp_path / "qat.npz") as stored:
        assert int(stored["step"]) == 1
    assert train(codec_folder, photos, tmp_path, "--stage", "float") == 2
    assert "has no stage float; its first is qat" in capsys.readouterr().err


def test_a_begun_run_is_not_begun_again(codec_folder: Path, run: Run, tmp_path: Path, photos: Path) -> None:
    own = replace(run, folder=tmp_path)
    model = start.codec_model(Codec(codec_folder), own)
    start.write_start(Codec(codec_folder), own)
    before = (tmp_path / "start.npz").read_bytes()
    assert train(codec_folder, photos, tmp_path, "--stage", "freeze") == 2  # qat is missing
    assert (tmp_path / "start.npz").read_bytes() == before
    assert model.encoder.output.shape[-1] == ENCODERS["accelerator"].latent


def test_what_does_not_fit_is_refused_with_what_would(
    codec_folder: Path, run: Run, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codec = Codec(codec_folder)
    with pytest.raises(TrainingError, match="a start must have as many at 1/8 and no more latent ones"):
        start.codec_model(codec, replace(run, codec="microcontroller"))
    bare = shutil.copytree(codec_folder, tmp_path / "bare", ignore=shutil.ignore_patterns("training"))
    assert train(bare, photos, tmp_path / "run") == 2
    assert "has no training/qat.npz to start from" in capsys.readouterr().err
    assert (
        train(codec_folder, photos, tmp_path / "run", "--codec", str(codec_folder), "--stage", "decoder") == 2
    )
    assert "--start begins a new codec, and --codec names a finished one" in capsys.readouterr().err


def test_what_a_run_keeps_is_enough_to_start_at(codec_folder: Path) -> None:
    kept = codec_folder / "training/qat.npz"
    with np.load(kept) as stored:
        assert not any(key.startswith("1:") for key in stored.files)  # no optimiser
    assert checkpoint.as_start(kept)
