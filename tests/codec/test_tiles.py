"""Cutting pictures into tiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.codec import tiles
from heliograph.errors import PictureError


def test_latents_cover_every_pixel() -> None:
    assert tiles.latent_shape(1, 1) == (1, 1)
    assert tiles.latent_shape(17, 15) == (1, 2)
    assert tiles.latent_shape(16, 16) == (1, 1)
    assert tiles.latent_shape(255, 257) == (17, 16)


def test_places_are_cut_at_the_edge() -> None:
    found = [((y.start, y.stop), (x.start, x.stop)) for y, x in tiles.places(3, 5, 2)]
    assert found == [
        *[((0, 2), (0, 2)), ((0, 2), (2, 4)), ((0, 2), (4, 5))],
        *[((2, 3), (0, 2)), ((2, 3), (2, 4)), ((2, 3), (4, 5))],
    ]
    assert tiles.in_pixels((slice(2, 3), slice(4, 5))) == (slice(32, 48), slice(64, 80))


def test_a_small_picture_is_continued_by_its_edge() -> None:
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    ((place, tile),) = tiles.cut(picture, 16)
    assert place == (slice(0, 1), slice(0, 1))
    assert np.array_equal(tile[:2, :3], picture)
    assert np.all(tile[1:, 2:] == picture[1, 2])
    assert np.array_equal(tile[9, :3], picture[1])


@given(width=st.integers(1, 200), height=st.integers(1, 200), tile=st.sampled_from([16, 32, 96]))
def test_tiles_cover_the_map_once(width: int, height: int, tile: int) -> None:
    seen = np.zeros(tiles.latent_shape(width, height), int)
    for (rows, columns), part in tiles.cut(np.zeros((height, width, 3), np.uint8), tile):
        seen[rows, columns] += 1
        assert part.shape == (tile, tile, 3)
    assert np.all(seen == 1)


@given(width=st.integers(1, 100), height=st.integers(1, 100))
def test_tiles_hold_the_pixels_of_their_place(width: int, height: int) -> None:
    picture = np.random.default_rng(width * 101 + height).integers(0, 256, (height, width, 3), np.uint8)
    for (rows, columns), part in tiles.cut(picture, 32):
        y, x = rows.start * 16, columns.start * 16
        inside = picture[y : y + 32, x : x + 32]
        assert np.array_equal(part[: inside.shape[0], : inside.shape[1]], inside)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (65_536, 1), (65_535, 2049)])
def test_sizes_beyond_the_limits_are_refused(width: int, height: int) -> None:
    with pytest.raises(PictureError, match=f"picture is {width}x{height}: a side must be 1 to 65535"):
        tiles.check_size(width, height)


def test_a_hundred_megapixels_are_allowed() -> None:
    tiles.check_size(10_000, 10_000)
