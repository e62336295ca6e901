"""The encoder's three forms compute the same, and its branch stays alive."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from heliograph.train.networks import (
    ENCODERS,
    UNITS,
    EncoderSpec,
    ZeroSum,
    build_encoder,
    encoder_macs_per_pixel,
    fold_normalisation,
)
from heliograph.train.quantisation import (
    FIXED_RANGES,
    QuantisedConv2D,
    calibrate_ranges,
    equalise,
    make_room,
    snap_biases,
)

SPEC = EncoderSpec(middle=96, latent=128, pooled=8, squeezed=16, mixed=16, tile=96, copies=(4, 0, 0, 0))
CHAIN = ENCODERS["microcontroller"]


def photographs() -> np.ndarray:
    return np.random.default_rng(1).random((2, 64, 64, 3)).astype(np.float32)


@pytest.mark.parametrize("spec", [SPEC, CHAIN], ids=["branch", "chain"])
def test_folding_gives_the_encoder_that_inference_runs(spec: EncoderSpec) -> None:
    normalised = build_encoder(spec, normalised=True)
    for _ in range(20):
        normalised(photographs(), training=True)  # moves the running statistics
    plain = fold_normalisation(normalised, spec)
    expected = np.asarray(normalised(photographs(), training=False))
    assert np.allclose(np.asarray(plain(photographs())), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", UNITS)
def test_normalised_units_are_on_somewhere_whatever_their_kernels_are(name: str) -> None:
    encoder = build_encoder(SPEC, normalised=True)
    layer = encoder.get_layer(name)
    layer.kernel.assign(-np.abs(np.asarray(layer.kernel)))  # of what is positive, always negative
    probe = keras.Model(encoder.input, encoder.get_layer(f"{name}_relu").output)
    active = np.asarray(probe(photographs(), training=True)) > 0
    assert active.any(axis=(0, 1, 2)).all()


def test_what_inputs_have_in_common_does_not_pass_a_zero_sum_kernel() -> None:
    kernel = np.random.default_rng(2).normal(size=(3, 3, 8, 4)).astype(np.float32)
    constrained = np.asarray(ZeroSum()(kernel))
    assert np.abs(constrained.sum(axis=2)).max() < 1e-5
    assert np.allclose(constrained - kernel, (constrained - kernel)[:, :, :1])


@pytest.mark.parametrize("name", ["accelerator", "microcontroller"])
def test_channels_that_pictures_would_clip_get_room_and_mean_the_same(name: str) -> None:
    spec, pictures = ENCODERS[name].without_latent_copies(), photographs()
    duller = (0.5 + 0.1 * (pictures - 0.5)).astype(np.float32)
    encoder = build_encoder(spec)
    finest = np.full(spec.latent, 0.05, np.float32)
    unit = equalise(encoder, pictures, finest)
    assert np.array_equal(make_room(encoder, duller), np.ones(spec.latent))  # fit anyway
    grown = encoder.get_layer("chain8")
    grown.set_weights([np.asarray(w) * 3 for w in grown.get_weights()])
    expected = np.asarray(encoder(pictures)) * unit
    by = make_room(encoder, pictures)
    assert by.max() > 1.5
    assert np.allclose(
        np.asarray(encoder(pictures)) * unit * by, expected, atol=1e-4 * np.abs(expected).max()
    )
    probe = keras.Model(encoder.input, [grown.output, encoder.output])
    assert max(np.abs(np.asarray(x)).max() for x in probe(pictures)) <= 127.001 / 128


def test_snapped_biases_are_whole_multiples_of_input_scale_times_weight_scale() -> None:
    encoder = build_encoder(SPEC)
    equalise(encoder, photographs(), finest=np.full(SPEC.latent, 0.05, np.float32))
    quantised = build_encoder(SPEC, quantised=True)
    calibrate_ranges(encoder, quantised, photographs())
    snap_biases(quantised)
    first = quantised.get_layer("chain2")
    assert isinstance(first, QuantisedConv2D)
    units = np.asarray(first.bias, np.float64) / (first.weight_scales() / 255)  # the image's scale is 1/255
    assert np.allclose(units, np.round(units), atol=1e-2)


@pytest.mark.parametrize("name", ["accelerator", "microcontroller"])
def test_multiply_adds_are_counted_from_the_layers(name: str) -> None:
    spec = ENCODERS[name]
    encoder = build_encoder(spec, tile=spec.tile)
    total = 0
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.Conv2D):
            _, height, width, _ = layer.output.shape
            total += height * width * int(np.prod(layer.kernel.shape))
    assert encoder_macs_per_pixel(spec) == total / spec.tile**2


def test_both_codecs_keep_their_budgets() -> None:
    accelerator, microcontroller = ENCODERS["accelerator"], ENCODERS["microcontroller"]
    assert encoder_macs_per_pixel(accelerator) == 3836  # of 4000
    assert encoder_macs_per_pixel(microcontroller) == 1072  # of 1100
    assert build_encoder(accelerator).count_params() <= 800_000
    assert build_encoder(microcontroller).count_params() <= 192 << 10  # a byte each


@pytest.mark.parametrize(("spec", "beyond"), [(SPEC, True), (CHAIN, False)], ids=["branch", "chain"])
def test_with_a_branch_a_pixel_reaches_beyond_its_block(spec: EncoderSpec, beyond: bool) -> None:
    keras.utils.set_random_seed(1)
    encoder = build_encoder(spec)
    plain = np.full((1, 64, 64, 3), 0.5, np.float32)
    dotted = plain.copy()
    dotted[0, 31, 31] = 1.0  # the last pixel of block (1, 1)
    apart = np.abs(np.asarray(encoder(dotted)) - np.asarray(encoder(plain))).max(axis=-1)[0] > 0
    assert apart[1, 1]
    assert apart[2, 2] == beyond
    assert apart.sum() == 1 or beyond


def test_the_latent_is_rounded_once() -> None:
    """Chain and branch meet in one concatenation before the last convolution, in one scale."""
    encoder = build_encoder(SPEC, quantised=True)
    last = encoder.get_layer("latent")
    joined = last.input._keras_history.operation
    assert joined.name == "all8"
    assert [x._keras_history.operation.name for x in joined.input] == ["range_chain8", "range_mix8b"]
    assert FIXED_RANGES["chain8"] == FIXED_RANGES["mix8b"]
    assert FIXED_RANGES["squeeze8"] == FIXED_RANGES["branch4"]  # which meet in both8
