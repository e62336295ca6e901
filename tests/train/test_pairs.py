"""Pairs of pictures: of one shape, alike where nothing changes, the same for a seed; cameras in order of names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from heliograph.train.pairs import made_pair, site_pairs


def test_made_pairs_are_of_one_place() -> None:
    y, x = np.mgrid[:160, :192]
    picture = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    other = np.random.default_rng(7).integers(0, 256, (100, 90, 3), np.uint8)
    nearer = 0
    for seed in range(40):
        before, now = made_pair(picture, other, np.random.default_rng(seed))
        assert before.shape == now.shape == picture.shape
        assert before.dtype == now.dtype == np.uint8
        assert not np.array_equal(before, now)
        nearer += np.corrcoef(before.ravel(), now.ravel())[0, 1] > 0.8
    assert nearer > 32
    again = made_pair(picture, other, np.random.default_rng(39))
    assert np.array_equal(again[0], before)
    assert np.array_equal(again[1], now)


def test_cameras_give_pictures_with_those_before_them(tmp_path: Path) -> None:
    for camera, count in (("a", 3), ("b", 2)):
        (tmp_path / camera).mkdir()
        for n in range(count):
            Image.new("L", (8, 8), 10 * n).save(tmp_path / camera / f"{n}.png")
    found = [(int(a[0, 0, 0]), int(b[0, 0, 0])) for a, b in site_pairs(tmp_path)]
    assert found == [(0, 10), (10, 20), (0, 20), (0, 10)]
