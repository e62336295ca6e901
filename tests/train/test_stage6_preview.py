"""Stage preview: the network starts at the server decoder's linear inverse."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.train import preview_network as preview
from heliograph.train.latents import latent_crops
from heliograph.train.run import Run
from heliograph.train.stage3_freeze import latent_unit
from heliograph.train.stage5_decoder import fitted_decoder


def test_the_start_shows_what_the_linear_inverse_does(finished: Run) -> None:
    inputs, _ = latent_crops(finished, "preview")[0]
    values = inputs["values"]
    kernel, bias = fitted_decoder(finished).get_layer("inverse").get_weights()
    network = preview.build_preview(finished.spec.latent, window=12)
    preview.start(network, (kernel, bias), latent_unit(finished), values)
    shown = np.asarray(network(values))
    block = values[0, 3, 4] @ kernel[0, 0] + bias  # [768]: rows, columns, colours
    assert shown[0, 48:64, 64:80] == pytest.approx(block.reshape(16, 16, 3), abs=1e-4)


def test_hidden_layers_see_latents_of_unit_size(finished: Run) -> None:
    network = preview.build_preview(4, window=3)
    kernel = np.asarray(network.get_layer("hidden1").kernel)
    unit, values = np.array([1.0, 2.0, 3.0, 4.0]), np.ones((1, 3, 3, 4), np.float32)
    inverse = np.zeros((1, 1, 4, 768), np.float32), np.zeros(768, np.float32)
    preview.start(network, inverse, unit, values)
    # The mean of (1 + 4 + 9 + 16) is 7.5 a channel: weights are the units over its root.
    scaled = np.asarray(network.get_layer("hidden1").kernel)
    assert scaled == pytest.approx(kernel * (unit / 7.5**0.5)[:, None], rel=1e-5)
