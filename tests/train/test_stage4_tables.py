"""Stage tables: whole pictures become latent maps, and each codec's contexts keep their budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.train.context_fit import PREDICTED, default_spec
from heliograph.train.context_spec import macs_per_pixel
from heliograph.train.networks import ENCODERS
from heliograph.train.run import Run
from heliograph.train.stage4_tables import CONTEXT_FEATURES, latent_maps, latent_pairs


def test_maps_are_of_whole_pictures_and_the_same_for_a_seed(finished: Run) -> None:
    first, again = list(latent_maps(finished, 2)), list(latent_maps(finished, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])
    for latents in first:
        assert latents.dtype == np.int16
        assert (
            min(latents.shape[:2]) >= 8
        )  # no sample picture is smaller than 256 pixels, nor halved below 128
        assert latents.shape[2] == finished.spec.latent


@pytest.mark.parametrize(("name", "most"), [("accelerator", 150), ("microcontroller", 50)])
def test_contexts_keep_their_budget_of_multiply_adds(name: str, most: int) -> None:
    spec = default_spec(ENCODERS[name].latent, CONTEXT_FEATURES[name])
    assert macs_per_pixel(spec, min(PREDICTED, spec.layers[0])) < most


def test_pairs_are_made_of_photographs_and_then_taken_from_sites(finished: Run, tmp_path: Path) -> None:
    camera = tmp_path / "sites" / "river"
    camera.mkdir(parents=True)
    for n in range(3):
        Image.new("RGB", (64, 48), (40 * n, 90, 100)).save(camera / f"{n}.png")
    pairs = list(latent_pairs(replace(finished, sites=tmp_path / "sites"), 2))
    assert len(pairs) == 2 + 2 + 1  # two made; pictures with the one before, and with the one before that
    assert all(a.shape == b.shape and a.dtype == np.int16 for a, b in pairs)
    assert pairs[-1][0].shape == (3, 4, finished.spec.latent)
