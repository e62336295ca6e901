"""Stage tables: whole pictures become latent maps, and each codec's contexts keep their budget."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.train.context_fit import PREDICTED, default_layers
from heliograph.train.context_network import ContextSpec, macs_per_pixel
from heliograph.train.networks import ENCODERS
from heliograph.train.run import Run
from heliograph.train.stage4_tables import CONTEXT_FEATURES, latent_maps


def test_maps_are_of_whole_pictures_and_the_same_for_a_seed(finished: Run) -> None:
    first, again = list(latent_maps(finished, 2)), list(latent_maps(finished, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])
    for latents in first:
        assert latents.dtype == np.int8
        assert (
            min(latents.shape[:2]) >= 8
        )  # no sample picture is smaller than 256 pixels, nor halved below 128
        assert latents.shape[2] == finished.spec.latent


@pytest.mark.parametrize(("name", "most"), [("accelerator", 150), ("microcontroller", 50)])
def test_contexts_keep_their_budget_of_multiply_adds(name: str, most: int) -> None:
    layers = default_layers(ENCODERS[name].latent)
    assert macs_per_pixel(ContextSpec(layers, CONTEXT_FEATURES[name]), min(PREDICTED, layers[0])) < most
