"""A decoder that grows draws what it drew, and what is new in it can learn."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from heliograph.server.network import DecoderSpec, build_decoder
from heliograph.train.growth import grown

KNOWN = DecoderSpec(widths=(16, 8, 8, 8), blocks=(1, 1, 0, 1))
LARGER = DecoderSpec(widths=(24, 16, 8, 12), blocks=(3, 1, 1, 2))


@pytest.fixture(scope="module")
def decoder() -> keras.Model:
    keras.utils.set_random_seed(2)
    made = build_decoder(KNOWN, 6)
    rng = np.random.default_rng(2)
    for layer in made.layers:  # nothing is zero, as after training
        layer.set_weights([w + rng.normal(0, 0.05, w.shape).astype(np.float32) for w in layer.get_weights()])
    return made


def inputs() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.normal(size=(2, 4, 5, 6)).astype(np.float32), np.array([[0.2], [0.9]], np.float32)]


def test_a_larger_decoder_draws_the_same(decoder: keras.Model) -> None:
    expected = np.asarray(decoder(inputs()))
    assert np.allclose(np.asarray(grown(decoder, KNOWN, LARGER, seed=1)(inputs())), expected, atol=1e-5)


def test_what_is_new_is_not_zero_everywhere(decoder: keras.Model) -> None:
    larger = grown(decoder, KNOWN, LARGER, seed=1)
    kernel = np.asarray(larger.get_layer("enter").kernel)
    assert np.abs(kernel[..., 16:]).min(axis=(0, 1)).max() > 0  # new channels see the latents
    assert not np.asarray(larger.get_layer("up1").kernel)[:, :, 16:].reshape(8, 4, 16)[..., :8].any()
    assert np.asarray(larger.get_layer("up1").kernel)[:, :, 16:].reshape(8, 4, 16)[..., 8:].all()


def test_a_smaller_decoder_keeps_the_linear_path_alone(decoder: keras.Model) -> None:
    smaller = grown(decoder, KNOWN, DecoderSpec(widths=(16, 8, 8, 8), blocks=(0, 1, 0, 1)), seed=1)
    for name in ("inverse", "latent_norm"):
        pair = (m.get_layer(name).get_weights() for m in (decoder, smaller))
        assert all(np.array_equal(a, b) for a, b in zip(*pair, strict=True))
    assert not np.asarray(smaller.get_layer("leave").kernel).any()
