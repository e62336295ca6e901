"""The picture that costs are measured with."""

from __future__ import annotations

import numpy as np

from heliograph.codec.codec import Codec
from heliograph.export.probe import probe_latents, synthetic_picture


def test_the_synthetic_picture_is_the_same_everywhere_and_like_a_photograph() -> None:
    picture = synthetic_picture(128)
    np.testing.assert_array_equal(picture, synthetic_picture(128))
    assert picture.shape == (128, 128, 3)
    assert picture.dtype == np.uint8
    grey = picture.astype(float).mean(axis=-1)
    # Neighbours are alike, as in photographs and unlike in noise.
    assert np.corrcoef(grey[:, 1:].ravel(), grey[:, :-1].ravel())[0, 1] > 0.75
    assert 20 < grey.std() < 70


def test_a_corner_has_the_latents_of_its_tiles(codec: Codec) -> None:
    probe = probe_latents(codec, None)
    corner = probe.corner(codec.tile)
    assert (corner.width, corner.height, corner.pixels) == (codec.tile, codec.tile, codec.tile**2)
    np.testing.assert_array_equal(corner.latents, probe.latents[: codec.tile // 16, : codec.tile // 16])
    np.testing.assert_array_equal(corner.units, probe.units[: codec.tile // 16, : codec.tile // 16])
    assert probe.corner(10_000) is probe
