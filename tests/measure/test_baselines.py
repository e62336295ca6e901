"""Other codecs at the same number of bytes."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.measure.baselines import (
    BASELINES,
    at_bytes,
    decode,
    encode,
    encode_default_jpeg,
    jpeg_at_bytes,
    jpeg_table_bytes,
)
from heliograph.measure.metrics import psnr
from heliograph.pictures import load_srgb
from heliograph.samples import sample_pictures

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


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_keeps_a_budget_and_gets_better_with_it(name: str, paint: Paint) -> None:
    picture = paint(160, 120)
    small, large = at_bytes(name, picture, 2500), at_bytes(name, picture, 9000)
    assert small is not None
    assert large is not None
    assert len(small[0]) <= 2500 < len(large[0]) <= 9000
    assert psnr(picture, small[1]) < psnr(picture, large[1])
    assert BASELINES[name].version.split()[1][0].isdigit()


def test_default_and_optimised_jpeg_have_the_same_pixels(paint: Paint) -> None:
    picture = paint(160, 120)
    assert np.array_equal(decode(encode("jpeg", picture, 40)), decode(encode_default_jpeg(picture, 40)))
    assert len(encode("jpeg", picture, 40)) < len(encode_default_jpeg(picture, 40))


def test_the_tables_of_a_default_jpeg_are_counted() -> None:
    # Two quantisation tables of 64 bytes, four Huffman tables of the standard (annex K: 12 + 162 symbols twice);
    # libjpeg writes each in a segment of its own: marker 2, length 2, class 1, for Huffman 16 counts.
    data = encode_default_jpeg(np.zeros((16, 16, 3), np.uint8), 50)
    assert jpeg_table_bytes(data) == 2 * (4 + 1 + 64) + 4 * (4 + 1 + 16) + 2 * (12 + 162)


def test_jpeg_2000_with_its_colour_transform_is_better_than_without() -> None:
    picture = load_srgb(sample_pictures(colour_only=True)[1])[:120, :160]  # chelsea: colours of a photograph
    with_mct = encode("jpeg2000", picture, 100)
    buffer = io.BytesIO()
    options = BASELINES["jpeg2000"].options | BASELINES["jpeg2000"].at(100) | {"mct": 0}
    Image.fromarray(picture).save(buffer, **options)  # type: ignore[arg-type]
    assert psnr(picture, decode(with_mct)) > psnr(picture, decode(buffer.getvalue()))
    assert abs(len(with_mct) - 160 * 120 / 8) < 200
