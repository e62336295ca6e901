"""The experiments run, and the figures they return add up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import Codec
from heliograph.device.encoder import Encoder
from heliograph.errors import TrainingError
from heliograph.measure.curves import Point
from heliograph.pictures import load_srgb
from heliograph.server.network import DecoderSpec
from heliograph.train.experiments import ablations, context_curve, int8_cost, layer_error, trained
from heliograph.train.experiments.variants import (
    VARIANTS,
    NarrowNoise,
    Noise,
    Soft,
    Straight,
    Variant,
    other_branch,
)
from heliograph.train.loop import Budget
from heliograph.train.networks import EncoderSpec
from heliograph.train.run import File, Run, effort
from heliograph.train.stage2_qat import trained_model

TINY = EncoderSpec(middle=48, latent=64, branch=8, tile=96)
DECODER = DecoderSpec(widths=(16, 16, 8, 8), blocks=(1, 1, 1, 1))


@pytest.fixture(scope="module")
def picture(finished: Run) -> npt.NDArray[np.uint8]:
    return load_srgb(finished.photos / "chelsea.png")[:128, :192]


@pytest.fixture
def run(photos: Path, tmp_path: Path) -> Run:
    """A run of few small crops."""
    return Run(codec="microcontroller", photos=photos, folder=tmp_path, batch=1, size=64)


def tiny(name: str) -> Variant:
    """Return a row of the table in a shape that trains in no time."""
    variant = next(v for v in VARIANTS if v.name == name)
    return replace(
        variant,
        spec=replace(TINY, branch=variant.spec.branch and 8),
        decoder=DECODER,
        teacher=variant.teacher and replace(TINY, middle=64, branch=0),
    )


def test_a_taught_encoder_is_measured_once(run: Run, picture: npt.NDArray[np.uint8]) -> None:
    variant = tiny("encoder taught by one of twice the width")
    result = ablations.measure_variant(variant, run, 2, [picture])
    assert result["seconds_per_step"] > 0
    # 64 latent channels to 768 samples at 1/16, and the residual network beside them.
    assert result["decoder_kmac"] > 64 * 768 / 256 / 1000
    rates, decibels = np.array(result["points"]).T
    assert len(rates) == len(ablations.QUALITIES)
    assert np.all(np.diff(rates) > 0)
    assert decibels[-1] > decibels[0] > 10
    assert ablations.measure_variant(variant, run, 2, []) == result  # read, or no pictures would be an error


def test_the_rest_of_the_steps_is_the_decoders_alone(run: Run) -> None:
    model, _ = ablations.train_variant(tiny("joint for a quarter, then decoder alone"), run, 4)
    steps = {log.stem: effort(log)["steps"] for log in run.logs()}
    assert steps == {"joint": 1, "decoder": 3}
    with np.load(run.folder / "joint.npz") as stored:
        (kernel,) = (stored[k] for k in stored.files if k.startswith("0:") and k.endswith("chain2/kernel"))
    assert np.array_equal(np.asarray(model.encoder.get_layer("chain2").kernel), kernel)


def test_a_random_start_is_no_transform(run: Run) -> None:
    images = run.calibration()
    first = [
        np.asarray(ablations.variant_model(tiny(name), run, TINY, images).encoder.get_layer("chain2").kernel)
        for name in ("as shipped", "start: random")
    ]
    grams = [k.reshape(12, 12).T @ k.reshape(12, 12) for k in first]
    assert grams[0] == pytest.approx(np.eye(12), abs=1e-5)
    assert np.abs(grams[1] - np.eye(12)).max() > 0.1


def test_variants_are_compared_with_the_anchor() -> None:
    anchor = [Point(0.1 * 2**n, 25.0 + 3 * n) for n in range(5)]
    half = [Point(p.bpp / 2, p.db) for p in anchor]
    assert ablations.against(anchor, half) == "BD-rate  -50.0 % (25.0 to 37.0 dB)"
    worse = [Point(p.bpp, p.db - 20) for p in anchor]
    assert ablations.against(anchor, worse) == "nowhere as good as the anchor: 17.0 dB at 1.60 bpp"


@pytest.mark.parametrize(
    ("objective", "spread"), [(Straight, 0.0), (Noise, 0.5), (NarrowNoise, 0.3), (Soft, 0.0)]
)
def test_what_stands_for_rounded_latents(objective: type[Straight], spread: float) -> None:
    image = keras.Input((None, None, 3))
    encoder = keras.Model(image, keras.layers.Conv2D(2, 16, strides=16)(image))
    model = objective(encoder, encoder, seed=1)
    ratio = np.tile(np.array([0.1, 1.9, -3.0], np.float32), (400, 1))
    counted, shown = (np.asarray(x) for x in model.relax(ratio))
    if spread:
        apart = np.abs(counted - ratio)
        assert 0.9 * spread < apart.max() <= spread
    else:
        assert np.abs(counted - np.round(ratio)).max() < 0.1  # Soft: sharp, not hard
    assert np.array_equal(shown, counted if objective is Noise else np.round(ratio))


@pytest.mark.parametrize("pool", ["average", "stride"])
def test_other_branches_have_the_usual_shape(pool: str) -> None:
    encoder = other_branch(TINY, pool)
    assert encoder(np.zeros((1, 64, 32, 3), np.float32)).shape == (1, 4, 2, 64)
    assert encoder.get_layer("branch4").kernel.shape == (3, 3, 48, 8)


@pytest.mark.slow
def test_int8_costs_little_more_than_float(finished: Run, picture: npt.NDArray[np.uint8]) -> None:
    models = int8_cost.encoders(finished)
    assert list(models) == ["float", "int8, after training", "int8, trained for it"]
    points = {
        name: int8_cost.measure(model, encode, [picture], 80) for name, (model, encode) in models.items()
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
    expected = Encoder(codec).latents(picture)
    assert np.mean(quantised.latents(picture) == expected) > 0.99
    assert np.abs(plain.latents(picture).astype(int) - expected).max() <= 6
    assert quantised.identity.split()[1] == plain.identity.split()[1]


def test_a_run_without_a_frozen_encoder_is_named(codec: Codec, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=rf"{File.ENCODER_WEIGHTS.filename} is missing: give the folder"):
        trained.runners(codec, tmp_path)
