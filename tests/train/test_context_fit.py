"""Fitting contexts: the integers save what the float network learned, and everything is repeatable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.codec.codec import open_coder
from heliograph.codec.contexts import walk
from heliograph.codec.entropy_model import TOTAL, EntropyModel
from heliograph.codec.levels import from_quality
from heliograph.errors import TrainingError
from heliograph.train.context_data import Quantiser, channel_order, fit_prediction, residuals
from heliograph.train.context_fit import (
    entropy,
    fit_contexts,
    savings,
    tables_from,
)
from heliograph.train.context_network import ContextSpec
from heliograph.train.loop import Budget

CHANNELS = 16
STEPS = np.maximum(16, 800 * 2.0 ** (-np.arange(101) / 25)).astype(np.uint16)[:, None].repeat(CHANNELS, 1)
ROUNDING = np.full(101, 112, np.uint8)


def textured(seed: int) -> npt.NDArray[np.int8]:
    """Latents of a picture: a smooth first channel, and others whose magnitude varies together over space."""
    r = np.random.default_rng(seed)
    y, x = np.mgrid[:28, :32]
    activity = np.exp(2.5 * np.sin(x / 5 + seed) * np.cos(y / 6 + seed))[..., None]
    out = r.laplace(0, 6, (28, 32, CHANNELS)) * activity * np.linspace(1, 0.3, CHANNELS)
    out[..., 0] = 70 * np.sin(x / 9 + seed) + 40 * np.cos(y / 8) + r.normal(0, 2, x.shape)
    return np.asarray(np.clip(np.round(out), -128, 127), np.int8)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An entropy model fitted in some seconds."""
    return fit_contexts(
        [textured(n) for n in range(24)],
        STEPS,
        ROUNDING,
        tile=4,
        trained=tmp_path_factory.mktemp("contexts") / "contexts.npz",
        budget=Budget(0, 120),
        spec=ContextSpec((4, 8, 16), (4, 8)),
    )


def test_contexts_save_a_fifth_on_pictures_they_have_not_seen(fitted: bytes) -> None:
    coder = open_coder(fitted)
    level = from_quality(50)
    symbols = [coder.quantise(textured(n), level, 112) for n in range(100, 108)]
    flat = np.concatenate([s.reshape(-1, CHANNELS) for s in symbols])
    ideal = sum(entropy(flat[:, c]) for c in range(CHANNELS)) * len(flat)
    bits = sum(8 * len(b) for s in symbols for b in coder.encode(s, level, merged=True))
    assert bits < 0.8 * ideal
    assert savings(fitted, [textured(n) for n in range(100, 108)], [50])[50] == pytest.approx(
        1 - bits / ideal, abs=0.01
    )


def test_the_model_is_canonical_and_complete(fitted: bytes) -> None:
    model = EntropyModel.from_bytes(fitted)
    assert model.to_bytes() == fitted
    assert (model.layers, model.features, model.tile) == ((4, 8, 16), (4, 8), 4)
    assert np.array_equal(model.steps[:, 0], STEPS[:, 0])


def test_the_smooth_channel_is_predicted(fitted: bytes) -> None:
    model = EntropyModel.from_bytes(fitted)
    place = model.order.tolist().index(0)
    symbols = Quantiser(model.steps, ROUNDING)(textured(3)[..., model.order], from_quality(50))
    coded = residuals(symbols, model.predict)
    assert np.abs(coded[..., place]).mean() < 0.4 * np.abs(symbols[..., place]).mean()


def test_channels_come_by_falling_energy_in_steps() -> None:
    maps = [np.stack([np.full((4, 4), v, np.int8) for v in (3, 50, 20)], axis=-1)]
    steps = np.full((101, 3), 16, np.uint16)
    assert channel_order(maps, steps).tolist() == [1, 2, 0]
    steps[:, 1] = 160
    assert channel_order(maps, steps).tolist() == [2, 1, 0]


def test_prediction_of_a_plane_is_the_mean_of_the_neighbours() -> None:
    y, x = np.mgrid[:24, :24]
    r = np.random.default_rng(0)
    maps = [np.round(a * x + b * y)[..., None].astype(np.int8) for a, b in r.uniform(-2, 2, (30, 2))]
    weights = fit_prediction(maps, Quantiser(np.full((101, 1), 16, np.uint16), ROUNDING), 1, r)
    assert weights.sum(axis=1).ravel() / 4096 == pytest.approx(np.ones(4), abs=0.1)


def test_every_position_is_coded_once() -> None:
    for layer in (0, 1):
        seen = np.concatenate([positions for _, positions, _ in walk(layer, 7, 9)])
        assert sorted(seen.tolist()) == list(range(63))


def test_tables_sum_to_the_total_and_end_in_an_escape() -> None:
    p = np.zeros((2, 640))
    p[0, 0] = 1
    p[1] = np.exp(-np.arange(640) / 20)
    starts, counts = tables_from(p / p.sum(axis=1, keepdims=True))
    assert counts[0] == 2
    assert starts[:2].tolist() == [0, TOTAL - 1]
    assert 100 < counts[1] <= 256
    assert np.all(np.diff(starts[2:].astype(int)) > 0)


def test_maps_that_are_too_small_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no latent map has 4x4 positions"):
        fit_contexts(
            [np.zeros((3, 9, 16), np.int8)],
            STEPS,
            ROUNDING,
            tile=4,
            trained=tmp_path / "contexts.npz",
            budget=Budget(0, 1),
        )
