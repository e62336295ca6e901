"""A source without a camera: a moving, textured scene with a sensor's noise, the same for the same seed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heliograph.codec import tiles
from heliograph.device.cameras.camera import Camera, Picture

MARGIN = 64  # pixels that the view can move in each direction
NOISE = 2.0  # standard deviation of the sensor's noise, of 255
_ROWS = 64  # painted at a time, so that no array of floats is as large as the picture


class SyntheticCamera(Camera):
    """Clouds of detail at all sizes in three colours, over which the view drifts and a bright disc wanders.

    It has what makes pictures costly: detail at every size, edges, colour and noise. It is no photograph, and
    no measure of a codec.
    """

    def __init__(self, width: int = 640, height: int = 480, seed: int = 0) -> None:
        tiles.check_size(width + MARGIN, height + MARGIN)
        self._width, self._height, self._seed = width, height, seed
        self._scene: Picture | None = None
        self._count = 0

    def open(self) -> None:
        """Paint the scene."""
        if self._scene is None:
            self._scene = _paint_scene(self._width + MARGIN, self._height + MARGIN, self._seed)

    def read(self) -> Picture:
        """Return the next picture of the scene; the n-th is the same in every run."""
        if self._scene is None:
            raise RuntimeError("read before open")
        n, self._count = self._count, self._count + 1
        top, left = (int(MARGIN / 2 * (1 + np.sin(n / rate))) for rate in (7.0, 11.0))
        picture = self._scene[top : top + self._height, left : left + self._width].copy()
        _paint_disc(picture, n)
        _add_noise(picture, np.random.default_rng((self._seed, n)))
        return picture

    def close(self) -> None:
        """Forget the scene."""
        self._scene = None


def _paint_scene(width: int, height: int, seed: int) -> Picture:
    r = np.random.default_rng(seed)
    octaves = []
    cell, strength = 256, 44.0
    while cell >= 2:
        shape = height // cell + 2, width // cell + 2, 3
        grey = r.normal(0, strength, (*shape[:2], 1))
        octaves.append((cell, (grey + r.normal(0, strength / 3, shape)).astype(np.float32)))
        cell, strength = cell // 2, strength * 0.72
    scene = np.empty((height, width, 3), np.uint8)
    x = np.arange(width)
    for top in range(0, height, _ROWS):
        y = np.arange(top, min(top + _ROWS, height))
        total = np.full((len(y), width, 3), 110, np.float32)
        for cell, grid in octaves:
            total += _between(_between(grid, y, cell).swapaxes(0, 1), x, cell).swapaxes(0, 1)
        scene[y] = np.clip(total, 0, 255)
    return scene


def _between(grid: npt.NDArray[np.float32], at: npt.NDArray[np.int64], cell: int) -> npt.NDArray[np.float32]:
    """Interpolate the first axis of a grid at pixels of `cell` to each of its steps."""
    whole, part = at // cell, (at % cell / cell).astype(np.float32)[:, None, None]
    return np.asarray(grid[whole] * (1 - part) + grid[whole + 1] * part, np.float32)


def _paint_disc(picture: Picture, n: int) -> None:
    height, width = picture.shape[:2]
    radius = max(2, min(height, width) // 12)
    y0, x0 = (int((0.5 + 0.4 * np.sin(n / rate)) * side) for rate, side in ((3.0, height), (5.0, width)))
    rows = slice(max(0, y0 - radius), y0 + radius + 1)
    columns = slice(max(0, x0 - radius), x0 + radius + 1)
    view = picture[rows, columns]
    y = np.arange(rows.start, rows.start + view.shape[0])[:, None] - y0
    x = np.arange(columns.start, columns.start + view.shape[1]) - x0
    view[y**2 + x**2 <= radius**2] = 235, 190, 60


def _add_noise(picture: Picture, r: np.random.Generator) -> None:
    for top in range(0, len(picture), _ROWS):
        rows = picture[top : top + _ROWS]
        noisy = rows + r.normal(0, NOISE, rows.shape).astype(np.float32)
        rows[...] = np.clip(np.rint(noisy), 0, 255)
