"""The experiments run, and the figures they return add up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.codec.codec import Codec
from heliograph.device.encoder import Encoder
from heliograph.errors import TrainingError
from heliograph.pictures import load_srgb
from heliograph.server.decoder import ServerDecoder
from heliograph.server.network import DecoderSpec
from heliograph.train.experiments import ablations, context_curve, int8_cost, layer_error, past, trained
from heliograph.train.loop import Budget
from heliograph.train.networks import EncoderSpec
from heliograph.train.run import File, Run
from heliograph.train.stage2_qat import trained_model

TINY = EncoderSpec(middle=48, latent=64, pooled=4, squeezed=8, mixed=8, tile=96)
DECODER = DecoderSpec(widths=(16, 16, 8, 8), blocks=(1, 1, 1, 1))


@pytest.fixture(scope="module")
def picture(finished: Run) -> npt.NDArray[np.uint8]:
    return load_srgb(finished.photos / "chelsea.png")[:128, :192]


@pytest.fixture
def run(photos: Path, tmp_path: Path) -> Run:
    """A run of few small crops."""
    return Run(
        codec="microcontroller", photos=photos, folder=tmp_path, batch=1, size=96, joint_decoder=DECODER
    )


@pytest.mark.slow
def test_variants_are_trained_once_and_a_silent_branch_stays_silent(run: Run) -> None:
    usual, _, silent = ablations.variants(TINY)[:3]
    assert len(ablations.variants(replace(TINY, pooled=0, squeezed=0, mixed=0))) == 2
    model = ablations.variant_model(replace(silent, shape=TINY), replace(run, shape=TINY))
    before = [np.asarray(w) for w in model.encoder.get_layer("mix8a").get_weights()]
    found = ablations.losses(silent, run, 2)
    assert sorted(found) == ["dead leaves", "edges", "graphics", "smooth"]
    with np.load(run.folder / "without-the-branch/float.npz") as stored:
        assert int(stored["step"]) == 2
        kernels = {k: stored[k] for k in stored.files if k.startswith("0:")}
    assert not kernels["0:branch16/kernel"].any()
    assert np.array_equal(kernels["0:mix8a/kernel"], before[0])
    usual_start = np.asarray(model.encoder.get_layer("chain2").kernel)
    assert not np.array_equal(kernels["0:chain2/kernel"], usual_start)
    stamp = (run.folder / "without-the-branch/float.npz").stat().st_mtime_ns
    assert ablations.losses(silent, run, 2) == found
    assert (run.folder / "without-the-branch/float.npz").stat().st_mtime_ns == stamp
    assert usual.branch


@pytest.mark.slow
def test_int8_costs_little_more_than_float(finished: Run, picture: npt.NDArray[np.uint8]) -> None:
    models = int8_cost.encoders(finished)
    assert list(models) == ["float", "int8, after training", "int8, trained for it"]
    points = {
        name: int8_cost.measure(model, encode, [picture], 68) for name, (model, encode) in models.items()
    }
    for point in points.values():
        assert point.bpp == pytest.approx(points["float"].bpp, rel=0.1)
        assert point.db == pytest.approx(points["float"].db, abs=1)


def test_roundings_add_up(finished: Run, picture: npt.NDArray[np.uint8]) -> None:
    model = trained_model(finished)
    images = picture[None].astype(np.float32) / np.float32(255)
    alone, together, exact = layer_error.layer_errors(model, images)
    kinds = [(e.layer, e.kind) for e in alone]
    assert kinds[:3] == [("image", "activations"), ("chain2", "weights"), ("chain2", "activations")]
    assert kinds[-1] == ("latent", "activations")
    assert exact.shape == (1, 8, 12, finished.spec.latent)
    assert alone[0].mse == pytest.approx(0, abs=1e-6)  # pixels are integers
    assert max(e.mse for e in alone) < together < 3 * sum(e.mse for e in alone)
    assert layer_error.picture_error(2 * exact, model) == pytest.approx(
        4 * layer_error.picture_error(exact, model)
    )
    assert layer_error.step_error(exact, model, 0.5) > layer_error.step_error(exact, model, 0.95) > 0


@pytest.mark.slow
def test_sizes_of_contexts_are_fitted_and_measured(finished: Run) -> None:
    (size,) = context_curve.sizes(finished, Budget(0, 1), pictures=2, held_out=1, features=[(4, 8)])
    assert size.features == (4, 8)
    assert 0 < size.macs_per_pixel < 42  # which 8/16 features take
    assert list(size.saved) == list(context_curve.QUALITIES)
    assert all(-1 < saved < 0.5 for saved in size.saved.values())  # hardly trained


def test_a_runs_own_encoders_are_near_the_devices(
    finished: Run, codec: Codec, picture: npt.NDArray[np.uint8]
) -> None:
    quantised, plain = trained.runners(codec, finished.folder)
    assert (quantised.name, plain.name) == ("fake-quantised", "float")
    expected = Encoder(codec).units(picture)
    assert np.mean(quantised.units(picture) == expected) > 0.99
    assert np.abs(plain.units(picture).astype(int) - expected).max() <= 6
    assert quantised.identity.split()[1] == plain.identity.split()[1]


def test_a_run_without_a_frozen_encoder_is_named(codec: Codec, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=rf"{File.ENCODER_WEIGHTS.filename} is missing: give the folder"):
        trained.runners(codec, tmp_path)


@pytest.mark.slow
def test_the_past_is_worth_something_where_only_noise_is_new(
    codec: Codec, paint: Callable[[int, int], npt.NDArray[np.uint8]], tmp_path: Path
) -> None:
    (tmp_path / "still").mkdir()
    scene = paint(128, 96)
    for number in range(4):
        grain = np.random.default_rng(number).normal(0, 8, scene.shape)
        picture = np.asarray(np.clip(scene + grain, 0, 255), np.uint8)
        Image.fromarray(picture).save(tmp_path / "still" / f"{number}.png")
    shown = list(past.coded(Encoder(codec), ServerDecoder(codec), [scene, scene], 50))
    assert len(shown) == 1
    assert np.array_equal(shown[0].taken, scene)
    assert np.array_equal(
        past.corrected(past.correction(), shown[0], True), shown[0].decoded
    )  # begins at nothing
    ((name, plain, alone, seen),) = past.gains(codec, tmp_path, 50, 30)
    assert name == "still"
    assert 15 < plain < 40
    assert -1 < alone < 5
    assert -1 < seen < 5
