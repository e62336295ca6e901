"""What training has learned of each kind of picture: fixed crops that it never sees, measured every few minutes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.pictures import load_srgb
from heliograph.train import scenes
from heliograph.train.data import resized
from heliograph.train.objective import LAMBDAS, Joint

Picture = npt.NDArray[np.uint8]
COUNT = 6  # crops of a class
QUALITIES = np.linspace(0.1, 0.9, COUNT, dtype=np.float32)[
    :, None
]  # of the crops of a class, one after another
SEED = 21
COLUMNS = ("step", "seconds", "class", "loss", "bpp", "distortion")
Make = Callable[[np.random.Generator], Picture]


def class_crops(photos: Sequence[Path], sites: Sequence[Path], side: int) -> dict[str, npt.NDArray[np.uint8]]:
    """Return crops uint8 [COUNT, side, side, 3] of each class of pictures, always the same ones.

    Args:
        photos: photographs that training never sees; without any there are the drawn classes alone.
        sites: pictures of fixed cameras that it never sees.
        side: pixels on a side.
    """

    def cut(files: Sequence[Path], rng: np.random.Generator, *, whole: bool = False) -> Picture:
        picture = load_srgb(files[int(rng.integers(len(files)))])
        height, width = picture.shape[:2]
        short = min(height, width)
        part = short if whole else min(side, short)
        y, x = int(rng.integers(height - part + 1)), int(rng.integers(width - part + 1))
        found = np.ascontiguousarray(picture[y : y + part, x : x + part])
        return found if part == side else resized(found, side, side)

    def changed(change: scenes.Change) -> Make:
        return lambda rng: change(cut(photos, rng), rng)

    made: dict[str, Make] = {
        "dead leaves": lambda rng: scenes.dead_leaves(rng, side),
        "edges": lambda rng: scenes.facade(rng, side),
        "graphics": lambda rng: scenes.graphic(rng, side),
        "smooth": lambda rng: scenes.gradient(rng, side),
    }
    if photos:
        made |= {
            "photographs": lambda rng: cut(photos, rng),
            "small": lambda rng: cut(photos, rng, whole=True),
            "saturated": changed(scenes.saturated),
            "dark": changed(scenes.dark),
            "infrared": changed(scenes.infrared),
            "stamped": changed(scenes.stamped),
        }
    if sites:
        made["sites"] = lambda rng: cut(sites, rng)
    return {
        name: np.stack([make(np.random.default_rng((SEED, number))) for number in range(COUNT)])
        for name, make in sorted(made.items())
    }


def measure(model: Joint, crops: npt.NDArray[np.uint8]) -> tuple[float, float, float]:
    """Return the mean loss, bits per pixel and distortion of a class's crops, uint8 [COUNT, side, side, 3]."""
    out = np.asarray(model({"image": crops, "quality": QUALITIES}, training=False), np.float64)
    lam = LAMBDAS[0] * (LAMBDAS[1] / LAMBDAS[0]) ** QUALITIES[:, 0].astype(np.float64)
    lost = (out[:, 0] * np.sqrt(lam / LAMBDAS[0]) - out[:, 1]) / lam
    return float(out[:, 0].mean()), float(out[:, 1].mean()), float(lost.mean())


class ClassCurve:
    """A curve of each class beside a training's log.

    Args:
        model: that is trained.
        crops: of `class_crops`.
        path: of the .csv with the columns COLUMNS, to which lines are added.
    """

    def __init__(self, model: Joint, crops: dict[str, npt.NDArray[np.uint8]], path: Path) -> None:
        self.model, self.crops, self.path = model, crops, path

    def __call__(self, step: int, seconds: float) -> None:
        """Measure all classes and add a line for each."""
        lines = [(name, *measure(self.model, crops)) for name, crops in self.crops.items()]
        with self.path.open("a", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            if handle.tell() == 0:
                writer.writerow(COLUMNS)
            for name, *values in lines:
                writer.writerow([step, round(seconds, 1), name, *(f"{v:.4f}" for v in values)])
