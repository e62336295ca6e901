"""The encoder that overlaps, bits with contexts, and all of it trained for a few steps."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from heliograph.train.joint import objective
from heliograph.train.joint.__main__ import LAYER_SCALES, folder_share, joint_model, main
from heliograph.train.joint.contexts import ContextRate
from heliograph.train.joint.encoder import OverlapSpec, build_overlapping, macs_per_pixel
from heliograph.train.joint.world import World

from heliograph.server.network import DecoderSpec
from heliograph.train import loop

SMALL = OverlapSpec(middle=24, latent=128, pooled=4, squeezed=8, mixed=8)
DECODER = DecoderSpec(widths=(16, 8, 8, 8), blocks=(1, 1, 1, 1))


def test_the_encoder_keeps_to_the_accelerators_budget() -> None:
    spec = OverlapSpec()
    assert macs_per_pixel(spec) == 3972
    assert build_overlapping(spec).count_params() < 800_000


def test_a_pixel_reaches_beyond_its_block() -> None:
    keras.utils.set_random_seed(1)
    encoder = build_overlapping(SMALL)
    plain = np.full((1, 64, 64, 3), 0.5, np.float32)
    dotted = plain.copy()
    dotted[0, 31, 31] = 1.0  # the last pixel of block (1, 1)
    apart = np.abs(np.asarray(encoder(dotted)) - np.asarray(encoder(plain))).max(axis=-1)[0] > 0
    assert apart[1, 1]
    assert apart[2, 2]


def test_bits_of_symbols_that_a_density_expects_are_few() -> None:
    rate = ContextRate(128)
    latent = np.zeros((1, 4, 6, 128), np.float32)
    latent[0, 0, 0, 0] = 8.0
    step, quality = np.ones((1, 1, 1, 128), np.float32), np.full((1, 1), 0.5, np.float32)
    rate.density_scale.assign(np.full((128, 3), np.log(0.1) / 10))
    bits = np.asarray(rate(latent, step, quality, latent))
    assert bits.shape == latent.shape
    # A logistic of scale 0.1 has all but 2 sigmoid(-5) of its mass within half a step: 0.0194 bits
    assert np.median(bits) == pytest.approx(-np.log2(1 - 2 / (1 + np.exp(5))), rel=0.5)
    assert bits[0, 0, 0, 0] > 15


def test_contexts_see_only_what_was_coded_before() -> None:
    rate = ContextRate(128)
    rng = np.random.default_rng(0)
    latent = rng.normal(0, 2, (1, 6, 6, 128)).astype(np.float32)
    step, quality = np.ones((1, 1, 1, 128), np.float32), np.full((1, 1), 0.5, np.float32)
    other = latent.copy()
    other[0, 3, 2, 100] += 5  # in the last group but one, at a position of its second phase
    before, after = (np.asarray(rate(latent, step, quality, seen)) for seen in (latent, other))
    changed = (before != after).any(axis=(0, 1, 2))
    assert not changed[:112].any()
    assert changed[112:].any()


@pytest.mark.slow
def test_a_few_steps_train_it_and_its_checkpoint_goes_on(tmp_path: Path) -> None:
    from heliograph.samples import copy_samples

    photos = copy_samples(tmp_path / "photos")
    world = World({photos: 1.0}, batch=2, size=96, steps=3, seed=1)
    model = joint_model(SMALL, DECODER, seed=1, size=96)
    start = [np.asarray(w) for w in model.encoder.get_weights()]
    path = tmp_path / "joint.npz"
    for steps in (3, 6):
        loop.train(
            model, world, path, budget=loop.Budget(0, steps), peak=1e-3, resume=True, scales=LAYER_SCALES
        )
    assert any(not np.array_equal(a, b) for a, b in zip(start, model.encoder.get_weights(), strict=True))
    assert path.with_suffix(".csv").read_text().splitlines()[-1].startswith("6,")


def test_qualities_span_the_lambdas_and_steps_interpolate() -> None:
    model = joint_model(SMALL, DECODER, seed=1, size=96)
    model.log_step.assign(np.tile(np.arange(objective.ANCHORS, dtype=np.float32)[:, None], (1, 128)))
    middle = np.asarray(model.steps(np.array([[0.5]], np.float32)))
    assert middle == pytest.approx(np.full((1, 128), np.exp(4.5)), rel=1e-5)


def test_a_share_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert folder_share("0.9:a:b") == (Path("a:b"), 0.9)
    assert main(["--photos", "photos", "--out", str(tmp_path), "--minutes", "1"]) == 2
    assert "expected SHARE:DIR" in capsys.readouterr().err
