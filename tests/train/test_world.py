"""Crops of the world: what is drawn, what is changed, what is held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from heliograph.errors import TrainingError
from heliograph.train import scenes
from heliograph.train.world import WHOLE, World, is_held_out

SIDE = 96


@pytest.fixture(scope="module")
def crop() -> npt.NDArray[np.uint8]:
    """A crop with slopes, edges and colours, uint8 [96, 96, 3]."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.stack([2 * x, 255 - 2 * y, (x // 16 + y // 16) % 2 * 200], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("scene", [scene for _, scene in scenes.DRAWN])
def test_a_drawn_scene_follows_from_its_seed_and_is_not_flat(scene: scenes.Scene) -> None:
    first, again = (scene(np.random.default_rng(5), SIDE) for _ in range(2))
    assert first.shape == (SIDE, SIDE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert first.std() > 1
    assert not np.array_equal(first, scene(np.random.default_rng(6), SIDE))


@pytest.mark.parametrize("made", [*(made for _, made in scenes.CHANGES), scenes.stamped])
def test_a_change_keeps_the_shape_and_the_given_pixels(
    made: scenes.Change, crop: npt.NDArray[np.uint8]
) -> None:
    before = crop.copy()
    after = made(crop, np.random.default_rng(2))
    assert np.array_equal(crop, before)
    assert after.shape == crop.shape
    assert after.dtype == np.uint8
    assert not np.array_equal(after, crop)


def test_infrared_is_grey_and_darkness_dark(crop: npt.NDArray[np.uint8]) -> None:
    seen = scenes.infrared(crop, np.random.default_rng(1))
    assert (seen == seen[..., :1]).all()
    dim = [scenes.dark(crop, np.random.default_rng(n)).mean() for n in range(8)]
    assert np.mean(dim) < crop.mean()


def test_one_photograph_in_sixteen_is_held_out_with_all_its_crops() -> None:
    held = [number for number in range(640) if is_held_out(Path(f"{number:04d}a.avif"))]
    assert len(held) == 40
    assert all(is_held_out(Path(f"{number:04d}c.avif")) for number in held)
    assert not is_held_out(Path("night-0020.webp"))


def test_one_picture_in_sixteen_of_a_fixed_camera_is_held_out() -> None:
    assert [number for number in range(1, 49) if is_held_out(Path(f"site/{number:04d}.webp"))] == [5, 21, 37]


def test_crops_come_from_every_folder_and_never_from_what_is_held_out(tmp_path: Path) -> None:
    for folder, name, value in (("a", "0000a", 40), ("a", "0020a", 90), ("b", "site", 200)):
        (tmp_path / folder).mkdir(exist_ok=True)
        Image.new("RGB", (200, 180), (value, value, value)).save(tmp_path / folder / f"{name}.png")
    world = World({tmp_path / "a": 0.5, tmp_path / "b": 0.5}, batch=4, size=64, steps=8, seed=1)
    drawn = {int(world.picture(world.draw(np.random.default_rng(n)))[0, 0, 0]) for n in range(60)}
    assert drawn == {40, 200}
    batch = world[0][0]
    assert batch["image"].shape == (4, 64, 64, 3)
    assert np.array_equal(batch["image"], world[0][0]["image"])


def test_pictures_that_are_all_held_out_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "0005.png")
    with pytest.raises(TrainingError, match="are numbered as pictures that are held out"):
        World({tmp_path: 1.0}, batch=1, size=32, steps=1, seed=1)


def test_whole_pictures_are_as_they_may_be(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (240, 300, 3), np.uint8)).save(
        tmp_path / "a.png"
    )
    world = World({tmp_path: 1.0}, batch=1, size=32, steps=1, seed=1)
    wholes = [world.whole(0, np.random.default_rng(n), least=160) for n in range(60)]
    shapes = {tuple(sorted(w.shape[:2])) for w in wholes}
    assert min(min(s) for s in shapes) >= 160
    assert {(240, 300), (WHOLE, WHOLE)} <= shapes  # as it is, and drawn
    assert any(s[0] < 240 for s in shapes)  # reduced
    assert np.array_equal(wholes[7], world.whole(0, np.random.default_rng(7), least=160))
