"""Fitting contexts: the integers save what the float network learned, with references too, and all is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec.codec import open_coder
from heliograph.codec.coder import Reference
from heliograph.codec.entropy_model import TOTAL, EntropyModel
from heliograph.codec.levels import STEP_ROWS, from_quality, steps_at
from heliograph.codec.passes import walk
from heliograph.codec.values import Values
from heliograph.errors import TrainingError
from heliograph.train.context_data import ANCHORS, LatentCrops, Quantiser, channel_order, fit_prediction
from heliograph.train.context_fit import default_spec, entropy, fit_contexts, savings
from heliograph.train.context_integers import tables_from, to_integers, zeros_from
from heliograph.train.context_network import ContextNetwork
from heliograph.train.context_spec import ContextSpec
from heliograph.train.loop import Budget
from heliograph.train.masking import fit_masking

CHANNELS = 16
STEPS = (
    np.maximum(16, 800 * 2.0 ** (-np.arange(0, 101, 4) / 25)).astype(np.uint16)[:, None].repeat(CHANNELS, 1)
)
ROUNDING = np.full(STEP_ROWS, 112, np.uint8)
SPEC = ContextSpec((4, 8, 16), 4, ((4, 8), (6, 8)))


def textured(seed: int) -> Values:
    """Latents of a picture: a smooth first channel, and others whose magnitude varies together over space."""
    r = np.random.default_rng(seed)
    y, x = np.mgrid[:28, :32]
    activity = np.exp(2.5 * np.sin(x / 5 + seed) * np.cos(y / 6 + seed))[..., None]
    out = r.laplace(0, 6, (28, 32, CHANNELS)) * activity * np.linspace(1, 0.3, CHANNELS)
    out[..., 0] = 70 * np.sin(x / 9 + seed) + 40 * np.cos(y / 8) + r.normal(0, 2, x.shape)
    return np.asarray(16 * np.clip(np.round(out), -128, 127), np.int16)


def later(latents: Values, seed: int) -> Values:
    """Latents of the same place a little later: noise everywhere, and all is new in a quarter."""
    r = np.random.default_rng(1000 + seed)
    out = latents / 16 + r.normal(0, 1.0, latents.shape)
    out[:14, :16] = textured(seed + 500)[:14, :16] / 16
    return np.asarray(16 * np.clip(np.round(out), -128, 127), np.int16)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An entropy model fitted in some seconds."""
    folder = tmp_path_factory.mktemp("contexts")
    maps = [textured(n) for n in range(24)]
    return fit_contexts(
        maps,
        [(m, later(m, n)) for n, m in enumerate(maps)],
        STEPS,
        ROUNDING,
        tile=4,
        trained=(folder / "contexts.npz", folder / "references.npz"),
        budget=Budget(0, 240),
        spec=SPEC,
    )


def bits(data: bytes, latents: Values, level: int, reference: Reference | None = None) -> float:
    """Bits of whole segments of latents."""
    coded = open_coder(data).encode(
        latents, level, rounding=112, strength=0, merge_below=1 << 30, reference=reference
    )
    return 8 * sum(map(len, coded.segments))


@pytest.mark.slow
def test_contexts_save_a_fifth_on_pictures_they_have_not_seen(fitted: bytes) -> None:
    level, new = from_quality(50), [textured(n) for n in range(100, 108)]
    model = EntropyModel.from_bytes(fitted)
    quantise, step = Quantiser(model.steps, ROUNDING), steps_at(model.steps, level)
    flat = np.concatenate([quantise(m[..., model.order], level).reshape(-1, CHANNELS) for m in new]) / step
    ideal = sum(entropy(np.rint(channel)) for channel in flat.T) * len(flat)
    real = sum(bits(fitted, m, level) for m in new)
    assert real < 0.8 * ideal
    assert savings(fitted, new, [50])[50] == pytest.approx(1 - real / ideal, abs=0.01)


def test_a_reference_saves_where_the_scene_stands_still(fitted: bytes) -> None:
    coder, level = open_coder(fitted), from_quality(50)
    alone = referring = 0.0
    for n in range(100, 106):
        before, now = textured(n), later(textured(n), n)
        values = coder.encode(before, level, rounding=128, strength=0).values
        alone += bits(fitted, now, level)
        referring += bits(fitted, now, level, Reference(values, level))
    assert referring < 0.7 * alone  # a quarter is new


def test_the_integers_take_the_bits_that_the_float_network_counts() -> None:
    maps = [textured(n)[:25, :25] // 64 * 16 for n in range(3)]  # no residual is beyond the laws' tokens
    r = np.random.default_rng(2)
    order = channel_order(maps, STEPS)
    ordered = [np.ascontiguousarray(m[..., order]) for m in maps]
    quantise = Quantiser(STEPS, ROUNDING)
    predict = fit_prediction(ordered, quantise, 3, r)
    start = r.uniform(20, 40, (len(ANCHORS), CHANNELS + SPEC.all_groups))
    masking = replace(
        fit_masking(ordered, quantise, SPEC.layers[0]), strength=np.full(len(ANCHORS), 90, np.uint8)
    )
    alone = ContextNetwork(SPEC, ANCHORS, start, predict / 4096, masking, 25)
    supply = LatentCrops([(m, m) for m in ordered], quantise, np.ones(len(ANCHORS)), size=25, batch=3, seed=4)
    inputs, _ = supply[0]
    alone(inputs)
    both = [alone, ContextNetwork(SPEC, ANCHORS, start, predict / 4096, masking, 25, alone)]
    both[1](inputs)
    for network in both:  # weights of a size that training reaches, so that every term counts
        for variable in network.trainable_variables:
            if variable.path.split("/")[-1].rstrip("0123456789") in (
                "own",
                "change",
                "there",
                "level",
                "from",
            ):
                variable.assign(r.normal(0, 0.1, variable.shape))
    model = to_integers(both, STEPS, ROUNDING, np.arange(CHANNELS, dtype=np.uint16), predict, 4)
    coder = open_coder(model.to_bytes())
    for number, network in enumerate(both):
        expected = np.asarray(network(inputs)) * 25 * 25
        for crop, level in enumerate(inputs["level"][:, 0].astype(int).tolist()):
            latents = inputs["latent"][crop].astype(np.int16)
            reference = None
            if number:
                values = np.rint(inputs["reference"][crop]).astype(np.int16)
                reference = Reference(values, int(inputs["reference_level"][crop, 0]))
            coded = coder.encode(
                latents, level, rounding=112, strength=0, reference=reference, only_estimate=True
            )
            assert sum(coded.bits) / 1024 == pytest.approx(expected[crop], rel=0.03)


def test_the_model_is_canonical_and_complete(fitted: bytes) -> None:
    model = EntropyModel.from_bytes(fitted)
    assert model.to_bytes() == fitted
    assert (model.layers, model.group, model.tile) == ((4, 8, 16), 4, 4)
    assert [s.features for s in model.sets] == [(4, 8), (6, 8)]
    assert np.array_equal(model.steps[:, 0], STEPS[:, 0])


@pytest.mark.slow
def test_without_pairs_pictures_are_coded_alone(tmp_path: Path) -> None:
    data = fit_contexts(
        [textured(n) for n in range(4)],
        [],
        STEPS,
        ROUNDING,
        tile=4,
        trained=(tmp_path / "contexts.npz", tmp_path / "references.npz"),
        budget=Budget(0, 2),
        spec=SPEC,
    )
    assert len(EntropyModel.from_bytes(data).sets) == 1


def test_channels_come_by_falling_energy_in_steps() -> None:
    maps = [np.stack([np.full((4, 4), v, np.int16) for v in (3, 50, 20)], axis=-1)]
    steps = np.full((STEP_ROWS, 3), 16, np.uint16)
    assert channel_order(maps, steps).tolist() == [1, 2, 0]
    steps[:, 1] = 160
    assert channel_order(maps, steps).tolist() == [2, 1, 0]


def test_prediction_of_a_plane_is_the_mean_of_the_neighbours() -> None:
    y, x = np.mgrid[:24, :24]
    r = np.random.default_rng(0)
    maps = [16 * np.round(a * x + b * y)[..., None].astype(np.int16) for a, b in r.uniform(-2, 2, (30, 2))]
    weights = fit_prediction(maps, Quantiser(np.full((STEP_ROWS, 1), 16, np.uint16), ROUNDING), 1, r)
    assert weights.sum(axis=1).ravel() / 4096 == pytest.approx(np.ones(4), abs=0.1)


def test_every_position_is_coded_once() -> None:
    for layer in (0, 1):
        seen = np.concatenate([positions for _, positions, _ in walk(layer, 7, 9)])
        assert sorted(seen.tolist()) == list(range(63))


def test_layers_are_of_whole_groups() -> None:
    sizes = ((8, 16), (8, 16))
    assert default_spec(256, sizes) == ContextSpec((16, 64, 128, 256), 16, sizes)
    assert default_spec(96, sizes) == ContextSpec((8, 24, 48, 96), 8, sizes)
    assert default_spec(16, sizes) == ContextSpec((2, 4, 8, 16), 2, sizes)


def test_tables_sum_to_the_total_and_end_in_an_escape() -> None:
    p = np.zeros((2, 640))
    p[0, 0] = 1
    p[1] = np.exp(-np.arange(640) / 20)
    starts, counts = tables_from(p / p.sum(axis=1, keepdims=True))
    assert counts[0] == 2
    assert starts[:2].tolist() == [0, TOTAL - 1]
    assert 100 < counts[1] <= 256
    assert np.all(np.diff(starts[2:].astype(int)) > 0)


def test_both_flags_stay_possible() -> None:
    assert zeros_from(np.array([0.0, 0.25, 1.0])).tolist() == [1, TOTAL // 4, TOTAL - 1]


def test_maps_that_are_too_small_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no latent map has 5x5 positions"):
        fit_contexts(
            [np.zeros((4, 9, 16), np.int16)],
            [],
            STEPS,
            ROUNDING,
            tile=4,
            trained=(tmp_path / "contexts.npz", tmp_path / "references.npz"),
            budget=Budget(0, 1),
            spec=SPEC,
        )
