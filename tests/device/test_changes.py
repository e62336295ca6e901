"""Change detection: noise is none, an animal is one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.device.changes import ChangeDetector, block_means, difference


def with_noise(scene: npt.NDArray[np.uint8], seed: int, deviation: float) -> npt.NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, deviation, scene.shape)
    return np.clip(np.rint(scene + noise), 0, 255).astype(np.uint8)


@pytest.fixture
def scene() -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[:1080, :1920]
    return np.stack([60 + x // 16, 60 + y // 9, np.full_like(x, 90)], -1).astype(np.uint8)


def test_means_are_those_of_the_blocks() -> None:
    picture = np.zeros((40, 70, 3), np.uint8)
    picture[:32, :32, 0] = 200
    picture[32:, 64:] = 10, 20, 30
    means = block_means(picture)
    assert means.shape == (2, 3, 3)
    assert means[0, 0].tolist() == [200, 0, 0]
    assert means[1, 2].tolist() == [10, 20, 30]
    assert means.sum() == 260


@pytest.mark.parametrize(("height", "width"), [(1, 1), (32, 32), (33, 31), (100, 3)])
def test_means_of_any_size_are_numpys(height: int, width: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    expected = [
        [picture[y : y + 32, x : x + 32].mean((0, 1)) for x in range(0, width, 32)]
        for y in range(0, height, 32)
    ]
    assert np.allclose(block_means(picture), expected)


def test_a_dark_nights_noise_is_no_change(scene: npt.NDArray[np.uint8]) -> None:
    first, second = (block_means(with_noise(scene, seed, 10.0)) for seed in (1, 2))
    assert 1.0 < difference(first, second) < 2.5  # about 2, as the docstring says


def test_an_animal_is_a_change(scene: npt.NDArray[np.uint8]) -> None:
    detector = ChangeDetector()
    assert detector.is_new(with_noise(scene, 1, 4.0))
    detector.keep()
    assert not detector.is_new(with_noise(scene, 2, 4.0))
    animal = with_noise(scene, 3, 4.0)
    animal[500:512, 900:912] += 50  # 12x12 pixels of two megapixels
    assert detector.is_new(animal)


def test_a_slow_change_adds_up_until_it_is_one(scene: npt.NDArray[np.uint8]) -> None:
    detector = ChangeDetector(3.0)
    assert detector.is_new(scene)
    detector.keep()
    found = [detector.is_new(scene + np.uint8(n)) for n in (1, 2, 3)]  # dawn: one level at a time
    assert found == [False, False, True]


def test_what_was_not_kept_is_not_compared_with(scene: npt.NDArray[np.uint8]) -> None:
    detector = ChangeDetector()
    assert detector.is_new(scene)
    assert detector.is_new(scene)  # the first could not be stored
    detector.keep()
    assert not detector.is_new(scene)


def test_another_size_is_a_change(scene: npt.NDArray[np.uint8]) -> None:
    detector = ChangeDetector()
    detector.is_new(scene)
    detector.keep()
    assert detector.is_new(scene[:500])
