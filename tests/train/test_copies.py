"""Copies change nothing in float and take off what int8 rounds away."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from heliograph.train.copies import choose, choose_latents, mean_of_copies, rounding_errors, with_copies
from heliograph.train.networks import ENCODERS, EncoderSpec, build_encoder, fold_normalisation
from heliograph.train.quantisation import calibrate_ranges, equalise
from heliograph.train.transform import start_chain

SPEC = replace(ENCODERS["microcontroller"], copies=(12, 24, 32, 24))


def pictures() -> np.ndarray:
    """Smooth pictures with a little noise, float32 [4, 96, 96, 3]."""
    rng = np.random.default_rng(3)
    coarse = rng.random((4, 3, 3, 3))
    smooth = np.asarray(keras.ops.image.resize(coarse.astype(np.float32), (96, 96), "bicubic"))
    return np.clip(smooth + rng.normal(0, 0.02, smooth.shape), 0, 1).astype(np.float32)


def transform_coder() -> tuple[keras.Model, np.ndarray]:
    """Return a plain encoder that is a truncated DCT, and the map float64 [C, 768]."""
    normalised = build_encoder(SPEC, normalised=True)
    forward = start_chain(normalised, SPEC)
    return fold_normalisation(normalised, SPEC), forward


def test_copies_go_where_they_take_off_most() -> None:
    # A second copy leaves a quarter, a third a ninth: of 16 they take 12 and 2.2; of 4 the first takes 3.
    assert choose(np.array([16.0, 4.0, 1.0]), 3).tolist() == [0, 1, 0]
    assert choose(np.array([16.0, 4.0, 1.0]), 0).tolist() == []


def test_a_latent_is_there_once_twice_or_four_times() -> None:
    # A second copy takes 3/4 of the error, the third and fourth 3/32 each: of 64 48 and 6, of 16 12, of 4 3.
    error = np.array([4.0, 64.0, 16.0, 0.0])
    assert choose_latents(error, 2).tolist() == [1, 2]
    assert choose_latents(error, 4).tolist() == [1, 1, 1, 2]
    assert choose_latents(error, 5).tolist() == [0, 1, 1, 1, 2]
    assert choose_latents(error, 0).tolist() == []


def test_latents_are_the_mean_of_their_copies() -> None:
    outputs = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 9.0]], np.float32)
    assert np.asarray(mean_of_copies(outputs, np.array([1, 2, 2, 2]))).tolist() == [[1.0, 3.0, 5.75]]
    assert mean_of_copies(outputs, None) is outputs


def test_copies_change_nothing_in_float_and_make_int8_finer() -> None:
    plain, forward = transform_coder()
    unit = equalise(plain, pictures(), np.full(SPEC.latent, 0.01, np.float32))
    inverse = np.asarray(unit[:, None] * np.linalg.pinv(forward).T, np.float64)
    copied, copies = with_copies(plain, SPEC, inverse)
    assert copied.output.shape[-1] == SPEC.outputs == SPEC.latent + 24
    expected = np.asarray(plain(pictures()))
    assert np.allclose(np.asarray(mean_of_copies(copied(pictures()), copies)), expected, atol=2e-5)

    def error(encoder: keras.Model, shape: EncoderSpec, copies: np.ndarray | None, *, latent: bool) -> float:
        """Return what roundings of the chain, or those of the latent, do to the picture."""
        quantised = build_encoder(shape, quantised=True)
        calibrate_ranges(encoder, quantised, pictures())
        for layer in quantised.layers:
            layer.rounds = not hasattr(layer, "weight_scales") and (layer.name == "range_latent") == latent
        found = np.asarray(mean_of_copies(quantised(pictures()), copies))
        return float(np.square((found - expected) @ inverse).mean())

    for latent, most in ((False, 0.4), (True, 0.6)):
        before = error(plain, SPEC.without_copies(), None, latent=latent)
        assert error(copied, SPEC, copies, latent=latent) < most * before


def test_the_error_of_a_channel_is_what_moving_it_does_to_the_picture() -> None:
    plain, forward = transform_coder()
    inverse = np.linalg.pinv(forward).T
    errors = rounding_errors(plain, inverse)
    assert {name: len(of) for name, of in errors.items()} == {
        "latent": 192,
        "chain8": 128,
        "chain4": 48,
        "chain2": 12,
    }
    # Of an orthonormal transform, cut short: a unit moves the picture by one at most, at 4, 16 and 64 places.
    for name, places in (("chain8", 4), ("chain4", 16), ("chain2", 64)):
        assert errors[name].max() <= places * 1.001
        assert errors[name][0] > 0.9 * places
