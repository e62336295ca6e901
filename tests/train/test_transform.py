"""The starting points: orthonormal transforms that invert each other."""

from __future__ import annotations

import numpy as np

from heliograph.pictures import load_srgb
from heliograph.samples import sample_pictures
from heliograph.server.network import DecoderSpec, build_decoder
from heliograph.train import transform
from heliograph.train.networks import ENCODERS, build_encoder


def test_the_dct_is_orthonormal() -> None:
    for n in (4, 16):
        matrix = transform.dct_matrix(n)
        assert np.allclose(matrix @ matrix.T, np.eye(n))
    assert np.allclose(transform.dct_matrix(2), np.array([[1, 1], [1, -1]]) / np.sqrt(2))


def test_opponent_colours_are_orthonormal_and_grey_has_no_chroma() -> None:
    assert np.allclose(transform.OPPONENT @ transform.OPPONENT.T, np.eye(3))
    assert np.allclose(transform.OPPONENT @ [7, 7, 7], [7 * np.sqrt(3), 0, 0])


def test_the_strongest_functions_come_first() -> None:
    basis, deviation = transform.truncated_dct(192)
    flat = basis.reshape(192, 768)
    assert np.allclose(flat @ flat.T, np.eye(192))
    assert np.all(np.diff(deviation) <= 0)
    assert np.allclose(basis[0], 1 / np.sqrt(768))  # the mean of the block


def test_encoder_and_decoder_start_as_a_transform_coder() -> None:
    spec = ENCODERS["accelerator"]
    picture = load_srgb(sample_pictures()[1])[:256, :256]  # chelsea
    images = (picture[None] / 255).astype(np.float32)
    encoder, decoder = build_encoder(spec, normalised=True), build_decoder(DecoderSpec(), spec.latent)
    forward = transform.start_encoder(encoder, spec, images)
    latents = np.asarray(encoder(images))
    block = picture[16:32, 32:48].reshape(768) / 255 - 0.5
    assert np.allclose(latents[0, 1, 2], forward @ block, atol=1e-4)
    transform.start_decoder(decoder, forward, latents.reshape(-1, spec.latent).std(axis=0))
    back = np.asarray(decoder([latents, np.ones((1, 1), np.float32)]))
    assert -10 * np.log10(np.square(back - images).mean()) > 30  # half of the coefficients
