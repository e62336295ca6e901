"""Models of all shapes: C, whose vectors have fixed widths, does what numpy does, at every count of columns."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.codec.coder import Coder, Reference

SIZES = [(1, 1), (1, 5), (6, 1), (2, 2), (5, 9)]  # rows, columns


@pytest.mark.parametrize("strength", [0, 20])
@pytest.mark.parametrize("refers", [False, True])
@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_c_and_numpy_agree(
    rows: int, columns: int, refers: bool, strength: int, shaped_coders: tuple[Coder, Coder]
) -> None:
    numpy_coder, native_coder = shaped_coders
    model = numpy_coder.model
    r = np.random.default_rng(rows + columns)
    shape = rows, columns, model.channels
    latents = np.clip(np.round(r.laplace(0, 96, shape)), -2048, 2047).astype(np.int16)
    reference = None
    if refers:
        near = latents[..., model.order].astype(np.int64) + r.integers(-40, 41, shape)
        near[r.random(shape) < 0.3] = 0
        reference = Reference(np.clip(near, -2048, 2047).astype(np.int16), 300)
    for level in (150, 560, 1023):
        a, b = (
            c.encode(latents, level, rounding=120, strength=strength, reference=reference)
            for c in shaped_coders
        )
        assert a.segments == b.segments
        assert a.bits == b.bits
        np.testing.assert_array_equal(a.values, b.values)
        size = rows, columns, level
        found = native_coder.decode(a.segments, *size, merged=False, reference=reference)
        np.testing.assert_array_equal(found.values, a.values)
        first = a.segments[0][: len(a.segments[0]) * 2 // 3]
        parts = [c.decode([first], *size, merged=False, cut=True, reference=reference) for c in shaped_coders]
        assert parts[0].read == parts[1].read
        np.testing.assert_array_equal(parts[0].values, parts[1].values)
