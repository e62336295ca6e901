"""Content made for the robustness set: the same at every call, and what its name says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from heliograph.validate import contents
from heliograph.validate.contents import CONTENTS, Content

Paint = Callable[[int, int], npt.NDArray[np.uint8]]


@pytest.mark.parametrize("content", CONTENTS, ids=lambda c: c.name)
def test_every_class_makes_the_same_pictures_twice(content: Content, paint: Paint) -> None:
    given = [paint(170, 130), paint(120, 140)]
    first, second = content.make(given), content.make(given)
    assert first
    assert "." not in content.name  # which is part of a figure's path in the gate
    for a, b in zip(first, second, strict=True):
        assert a.dtype == np.uint8
        assert a.ndim == 3
        assert a.shape[2] == 3
        assert np.array_equal(a, b)


def test_linear_light_comes_back() -> None:
    values = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert np.array_equal(contents.to_srgb(contents.to_linear(values)), values)
    assert contents.to_linear(np.full((1, 1, 3), 188, np.uint8))[0, 0, 0] == pytest.approx(0.5029, abs=1e-3)


def test_noise_has_the_deviation_of_the_photons() -> None:
    grey = np.full((200, 200, 3), 188, np.uint8)  # half the light: 200 of 400 electrons
    light = contents.to_linear(contents.noisy(grey, electrons=400, read=6))
    assert light.mean() == pytest.approx(0.503, abs=0.01)
    assert light.std() == pytest.approx(np.sqrt(201 + 36) / 400, rel=0.05)


def test_grey_and_infrared_have_no_colour(paint: Paint) -> None:
    for made in (contents.grey(paint(60, 50)), contents.infrared(paint(60, 50))):
        assert np.array_equal(made[..., 0], made[..., 1])
        assert np.array_equal(made[..., 0], made[..., 2])


def test_over_exposure_clips_and_low_light_is_dark() -> None:
    by_name = {c.name: c for c in CONTENTS}
    given = [np.full((50, 40, 3), 160, np.uint8)]  # 35 % of the light
    assert (by_name["over-exposure"].make(given)[0] == 255).mean() > 0.99
    dark = by_name["low-light"].make(given)[0]
    assert dark.mean() < 40
    assert dark.std() > 2


def test_crops_have_their_sizes_even_of_small_pictures(paint: Paint) -> None:
    made = contents.crops([paint(40, 30)], contents.TINY + contents.ODD)
    assert [(p.shape[1], p.shape[0]) for p in made] == [*contents.TINY, *contents.ODD]
