"""Pictures made smaller: the same bits in C and numpy, flat ones stay flat, edges stay in place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heliograph.codec import resize
from heliograph.codec.native_coder import load_core

Picture = npt.NDArray[np.uint8]


def draw(seed: int, height: int, width: int) -> Picture:
    """Return noise with as many blacks and whites as all between."""
    generator = np.random.default_rng(seed)
    noise = generator.integers(-128, 384, (height, width, 3))
    return np.clip(noise, 0, 255).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    share=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_c_and_numpy_make_the_same_picture(
    seed: int, size: tuple[int, int], share: tuple[float, float]
) -> None:
    assert load_core() is not None
    picture = draw(seed, *size)
    height, width = (max(1, round(side * part)) for side, part in zip(size, share, strict=True))
    small = resize.shrink(picture, width, height)
    assert small.shape == (height, width, 3)
    assert np.array_equal(small, resize.shrink_in_numpy(picture, width, height))
    if (height, width) == size:
        assert np.array_equal(small, picture)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (33, 20), (99, 1), (67, 40), (100, 60)])
@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_a_flat_picture_stays_flat(width: int, height: int, value: int) -> None:
    picture = np.full((60, 100, 3), value, np.uint8)
    assert (resize.shrink(picture, width, height) == value).all()


def test_the_kernel_is_lanczos_3_in_integers() -> None:
    # At 0, 1/2, 1, 3/2 and 3: 1, 0.6079, 0, -0.1351, 0, in 1/16384.
    assert resize.KERNEL[[0, 16, 32, 48, 96]].tolist() == [16384, 9960, 0, -2213, 0]


def test_the_middle_of_a_row_of_two_by_hand() -> None:
    # One pixel of two: both are as far from its middle, so it is their mean, rounded half up.
    picture = np.array([[[10, 0, 255], [21, 0, 0]]], np.uint8)
    assert resize.shrink(picture, 1, 1).tolist() == [[[16, 0, 128]]]


@pytest.mark.parametrize(("scale", "most"), [(1, 2), (2, 2), (3, 2), (4, 2), (7, 8), (9, 12)])
def test_it_is_what_pillow_makes_and_nearly_where_means_come_first(scale: int, most: int) -> None:
    y, x = np.mgrid[:150, :200].astype(float)
    waves = [128 + 100 * np.sin(x / 7 + y / 11), 255 * x / 199, 60 + 40 * np.cos(y / 3)]
    picture = np.stack(waves, -1).astype(np.uint8)
    small = resize.at_scale(picture, scale)
    height, width = small.shape[:2]
    expected = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
    assert np.abs(small.astype(int) - np.asarray(expected)).max() <= most


def test_the_longest_rows_fit_32_bits() -> None:
    row = np.full((1, 65535, 3), 255, np.uint8)
    for width in (1, 2, 700, 43690, 65535):
        assert (resize.shrink(row, width, 1) == 255).all()
        assert (resize.shrink(row.transpose(1, 0, 2), 1, width) == 255).all()


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (11, 5), (5, 11)])
def test_nothing_grows(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot make 10x10 as small as"):
        resize.shrink(np.zeros((10, 10, 3), np.uint8), *size)
