"""What a network gives, as latents in sixteenths."""

from __future__ import annotations

import numpy as np

from heliograph.codec.values import from_units


def test_a_latent_that_is_there_once_counts_sixteen() -> None:
    latents = from_units(np.array([[-128, 0, 127]], np.int8))
    assert latents.dtype == np.int16
    assert latents.tolist() == [[-2048, 0, 2032]]


def test_copies_have_their_mean() -> None:
    # Latents 0 (once), 1 (twice) and 2 (four times): 16 * 5, 8 * (7 + 6), 4 * (-128 - 127 - 128 - 128).
    units = np.array([[5, 7, -128, 6, -127, -128, -128]], np.int8)
    assert from_units(units, (1, 2, 2, 2)).tolist() == [[80, 104, -2044]]
