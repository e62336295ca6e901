"""Other codecs at the same number of bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from heliograph.validate.baselines import decode, encode, jpeg_at_bytes

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


def test_the_best_jpeg_within_the_budget_is_found(paint: Paint) -> None:
    picture = paint(160, 120)
    sizes = [len(encode("jpeg", picture, quality)) for quality in range(1, 101)]
    budget = sizes[40] + 10
    found = jpeg_at_bytes(picture, budget)
    assert found is not None
    data, decoded = found
    assert len(data) == max(size for size in sizes if size <= budget)
    assert np.array_equal(decode(data), decoded)


def test_a_budget_below_the_smallest_jpeg_has_none(paint: Paint) -> None:
    assert jpeg_at_bytes(paint(160, 120), 300) is None
