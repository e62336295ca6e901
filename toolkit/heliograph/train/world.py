"""Crops of the world as it is: photographs at every sharpness, fixed cameras, drawn scenes, and what befalls them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.errors import TrainingError
from heliograph.train import scenes
from heliograph.train.data import Crops, flipped, resized

NUMBERED = re.compile(r"^(\d{4})([a-z]?)$")  # pictures that are cut from one photograph share a number
ENLARGED, REDUCED, SMALL = 0.14, 0.33, 0.05  # shares of crops by how their pixels come to be
WHOLE = 384  # pixels on a side of a drawn picture that stands for a whole one


def is_held_out(path: Path) -> bool:
    """Return whether a picture is kept for validation: one in sixteen of numbered photographs and of fixed cameras."""
    match = NUMBERED.match(path.stem)
    if match is None:
        return False
    number = int(match[1])
    return (number // 4 if match[2] else number) % 16 == 5


class World(Crops):
    """Batches of crops like `Crops`, from pictures of several folders, each with its share."""

    def __init__(self, folders: dict[Path, float], **more: object) -> None:
        supplies = [Crops(folder, **more) for folder in folders]  # type: ignore[arg-type]
        super().__init__(next(iter(folders)), **more)  # type: ignore[arg-type]
        self.files = [f for s in supplies for f in s.files]
        shares = np.array(list(folders.values())) / sum(folders.values())
        self.weights = np.concatenate([s.weights * w for s, w in zip(supplies, shares, strict=True)])
        kept = np.array([not is_held_out(f) for f in self.files])
        if not (self.weights * kept).any():
            raise TrainingError(
                f"all of {', '.join(map(str, folders))} are numbered as pictures that are held out, in one file of "
                "sixteen; add pictures, or give them other names"
            )
        self.weights = self.weights * kept / (self.weights * kept).sum()

    def crop(self, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Return one random crop uint8 [size, size, 3]."""
        drawn = scenes.draw(rng, self.size)
        if drawn is not None:
            return flipped(drawn, rng)
        picture = self.picture(self.draw(rng))
        short = min(picture.shape[:2])
        place = rng.random()
        if place < ENLARGED:  # as a camera's own pixels are
            side = int(self.size / rng.uniform(1.2, 2.5))
        elif place < ENLARGED + REDUCED:
            side = int(self.size * rng.uniform(1.0, 2.2))
        elif place < ENLARGED + REDUCED + SMALL:  # nearly the whole, as thin links send it
            side = int(short * rng.uniform(0.6, 1.0))
        else:
            side = self.size
        side = min(side, short)
        height, width = picture.shape[:2]
        places = [
            (int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1)))
            for _ in range(2 if rng.random() < 0.6 else 1)
        ]
        y, x = self.prefer(rng, [((y, x), picture[y : y + side, x : x + side]) for y, x in places])
        cut = picture[y : y + side, x : x + side]
        if side != self.size:
            cut = resized(np.ascontiguousarray(cut), self.size, self.size)
        return flipped(scenes.change(cut, rng), rng)

    def whole(self, index: int, rng: np.random.Generator, *, least: int) -> npt.NDArray[np.uint8]:
        """Return a whole picture as it may be, no side below `least` pixels, uint8 [H, W, 3]; some are drawn."""
        drawn = scenes.draw(rng, max(least, WHOLE))
        if drawn is not None:
            return flipped(drawn, rng)
        picture = self.picture(index)
        place = rng.random()
        if place < ENLARGED:  # a part of it
            factor = rng.uniform(1.2, 2.5)
            height, width = (int(n / factor) for n in picture.shape[:2])
            y, x = (
                int(rng.integers(n - m + 1)) for n, m in zip(picture.shape, (height, width), strict=False)
            )
            picture, scale = picture[y : y + height, x : x + width], factor
        elif place < ENLARGED + REDUCED:
            scale = 1 / rng.uniform(1.0, 2.2)
        else:
            scale = 1.0
        scale = max(scale, least / min(picture.shape[:2]))
        if scale != 1.0:
            height, width = (max(least, round(n * scale)) for n in picture.shape[:2])
            picture = resized(np.ascontiguousarray(picture), width, height)
        return flipped(scenes.change(np.ascontiguousarray(picture), rng), rng)
