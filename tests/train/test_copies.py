"""Copies change nothing in float and take off what int8 rounds away."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from heliograph.train.copies import choose, rounding_errors, with_copies
from heliograph.train.networks import ENCODERS, build_encoder, fold_normalisation
from heliograph.train.quantisation import calibrate_ranges, equalise
from heliograph.train.transform import start_chain

SPEC = replace(ENCODERS["microcontroller"], copies=(12, 24, 32))


def pictures() -> np.ndarray:
    """Smooth pictures with a little noise, float32 [4, 96, 96, 3]."""
    rng = np.random.default_rng(3)
    coarse = rng.random((4, 3, 3, 3))
    smooth = np.asarray(keras.ops.image.resize(coarse.astype(np.float32), (96, 96), "bicubic"))
    return np.clip(smooth + rng.normal(0, 0.02, smooth.shape), 0, 1).astype(np.float32)


def transform_coder() -> tuple[keras.Model, np.ndarray]:
    """Return a plain encoder that is a truncated DCT, its branch silent, and the map float64 [C, 768]."""
    normalised = build_encoder(SPEC, normalised=True)
    forward = start_chain(normalised, SPEC)
    silent = normalised.get_layer("branch16").kernel
    silent.assign(np.zeros(silent.shape, np.float32))
    return fold_normalisation(normalised, SPEC), forward


def test_copies_go_where_they_take_off_most() -> None:
    # A second copy leaves a quarter, a third a ninth: of 16 they take 12 and 2.2; of 4 the first takes 3.
    assert choose(np.array([16.0, 4.0, 1.0]), 3).tolist() == [0, 1, 0]
    assert choose(np.array([16.0, 4.0, 1.0]), 0).tolist() == []


def test_copies_change_nothing_in_float_and_make_int8_finer() -> None:
    plain, forward = transform_coder()
    unit = equalise(plain, pictures(), np.full(SPEC.latent, 0.01, np.float32))
    inverse = np.asarray(unit[:, None] * np.linalg.pinv(forward).T, np.float64)
    copied = with_copies(plain, SPEC, inverse)
    expected = np.asarray(plain(pictures()))
    assert np.allclose(np.asarray(copied(pictures())), expected, atol=2e-5)

    def error(encoder: keras.Model, shape: object) -> float:
        quantised = build_encoder(shape, quantised=True)  # type: ignore[arg-type]
        calibrate_ranges(encoder, quantised, pictures())
        for layer in quantised.layers:
            layer.rounds = not (hasattr(layer, "weight_scales") or layer.name == "range_latent")
        return float(np.square((np.asarray(quantised(pictures())) - expected) @ inverse).mean())

    assert error(copied, SPEC) < 0.4 * error(plain, SPEC.without_copies())


def test_the_error_of_a_channel_is_what_moving_it_does_to_the_picture() -> None:
    plain, forward = transform_coder()
    inverse = np.linalg.pinv(forward).T
    errors = rounding_errors(plain, inverse)
    assert {name: len(of) for name, of in errors.items()} == {"chain8": 96, "chain4": 48, "chain2": 12}
    # Of an orthonormal transform, cut short: a unit moves the picture by one at most, at 4, 16 and 64 places.
    for name, places in (("chain8", 4), ("chain4", 16), ("chain2", 64)):
        assert errors[name].max() <= places * 1.001
        assert errors[name][0] > 0.9 * places
