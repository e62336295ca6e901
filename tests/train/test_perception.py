"""What the eye sees of an error: against the metric itself, by hand, and where pictures are dark or equal."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt
import pytest
from keras import ops

from heliograph.measure import metrics
from heliograph.train import perception

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


def as_floats(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return a picture as a batch float32 [1, 3, H, W] in [0, 1]."""
    return (picture[None].transpose(0, 3, 1, 2) / np.float32(255)).astype(np.float32)


@pytest.mark.parametrize("noise", [3, 10])
def test_the_error_is_ssimulacra2s(paint: Paint, noise: float) -> None:
    picture = paint(256, 256)
    rng = np.random.default_rng(3)
    other = np.clip(picture + rng.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)
    error = float(perception.seen_error(as_floats(picture), as_floats(other))[0])
    score = 100 - 10 * error**0.6276336467831387
    assert score == pytest.approx(
        metrics.ssimulacra2(picture, other), abs=3.0
    )  # borders are treated otherwise


def test_equal_pictures_lose_nothing(paint: Paint) -> None:
    picture = (paint(96, 96)[None] / np.float32(255)).astype(np.float32)
    assert np.asarray(perception.distortion(picture, picture)) == pytest.approx([0], abs=0.2)


def test_a_grey_error_counts_by_hand() -> None:
    error = np.zeros((2, 64, 64, 3), np.float32)
    error[0, ..., 0] = 0.1  # luminance: each pixel, and the mean of each 32x32 area three times
    error[1, ..., 1] = 0.1  # Cb: each pixel 0.2, areas of 8x8 0.7, of 32x32 3
    assert np.asarray(perception.squared(error)) == pytest.approx([0.01 * 4, 0.01 * 3.9], rel=1e-4)


def test_fine_colour_costs_a_fraction_of_a_drifting_hue() -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * 2.0 - 1
    error = np.zeros((2, 64, 64, 3), np.float32)
    error[0, ..., 2] = 0.1 * board
    error[1, ..., 2] = 0.1
    fine, drift = np.asarray(perception.squared(error))
    assert fine == pytest.approx(0.2 * 0.01, rel=1e-4)
    assert drift == pytest.approx(3.9 * 0.01, rel=1e-4)


def test_gradients_stay_bounded_in_dark_noise() -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.skip("takes the gradient with TensorFlow")
    import tensorflow as tf

    rng = np.random.default_rng(1)
    image = np.clip(rng.normal(0.02, 0.01, (2, 96, 96, 3)), 0, 1).astype(np.float32)
    shown = tf.Variable(np.full_like(image, 0.02))
    with tf.GradientTape() as tape:
        lost = ops.sum(perception.distortion(shown, image))
    gradient = np.asarray(tape.gradient(lost, shown))
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() < 10
