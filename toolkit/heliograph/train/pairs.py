"""Pairs of pictures of one place: made from photographs, or taken from fixed cameras.

Contexts with a reference learn on them. Made pairs teach nearly all: the light changes, shadows move, a sensor's noise
is another each time, the wind shakes the pole, something comes or goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.measure import sites
from heliograph.pictures import load_srgb

Picture = npt.NDArray[np.uint8]
Random = np.random.Generator
SAME_LIGHT, OTHER_PLACE = 0.35, 0.04  # shares of pairs


def _soft(rng: Random, height: int, width: int, cells: int) -> npt.NDArray[np.float32]:
    """Return a smooth random field in [0, 1], float32 [height, width], of about `cells` bumps on a side."""
    coarse = rng.random((cells + 2, cells + 2)).astype(np.float32)
    field = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.asarray(np.clip(field, 0.0, 1.0), np.float32)


def _relit(picture: npt.NDArray[np.float32], rng: Random) -> npt.NDArray[np.float32]:
    """Return a picture in [0, 1] in another light: exposure, colour, gamma, soft shadows."""
    gain = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.04, 3)).astype(np.float32)
    lit = np.clip(picture * gain, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.1)))
    if rng.random() < 0.5:
        field = _soft(rng, picture.shape[0], picture.shape[1], int(rng.integers(2, 12)))
        edge = np.float32(rng.uniform(0.05, 0.5))
        shade = np.clip((field - 0.5) / edge + 0.5, 0, 1)
        lit = lit * (1 - np.float32(rng.uniform(0.1, 0.6)) * shade)[..., None]
    return np.asarray(lit, np.float32)


def _shifted(picture: npt.NDArray[np.float32], rng: Random) -> npt.NDArray[np.float32]:
    """Return a picture moved by up to a pixel and a half, in fractions of one."""
    dy, dx = rng.normal(0, 0.6, 2)
    height, width = picture.shape[:2]
    y, x = (np.clip(np.arange(n) + d, 0, n - 1.001) for n, d in ((height, dy), (width, dx)))
    rows, columns = y.astype(int), x.astype(int)
    fy, fx = (y - rows).astype(np.float32)[:, None, None], (x - columns).astype(np.float32)[None, :, None]
    below, right = np.minimum(rows + 1, height - 1), np.minimum(columns + 1, width - 1)
    top = picture[rows][:, columns] * (1 - fx) + picture[rows][:, right] * fx
    bottom = picture[below][:, columns] * (1 - fx) + picture[below][:, right] * fx
    return np.asarray(top * (1 - fy) + bottom * fy)


def _pasted(picture: npt.NDArray[np.float32], other: Picture, rng: Random) -> npt.NDArray[np.float32]:
    """Return a picture with a part of another one on it, as what comes and goes."""
    height, width = (min(a, b) for a, b in zip(picture.shape[:2], other.shape[:2], strict=True))
    h, w = (int(rng.integers(n // 16, n // 3)) for n in (height, width))
    y, x = int(rng.integers(picture.shape[0] - h)), int(rng.integers(picture.shape[1] - w))
    v, u = int(rng.integers(other.shape[0] - h)), int(rng.integers(other.shape[1] - w))
    shape = np.clip((_soft(rng, h, w, 3) - 0.35) * 12, 0, 1)[..., None]
    out = picture.copy()
    out[y : y + h, x : x + w] *= 1 - shape
    out[y : y + h, x : x + w] += shape * other[v : v + h, u : u + w] / np.float32(255)
    return out


def _noisy(picture: npt.NDArray[np.float32], deviation: float, rng: Random) -> Picture:
    """Return a picture as a sensor sees it, uint8: noise grows with the root of the light."""
    spread = deviation * np.sqrt(0.3 + picture)
    return np.asarray(
        np.clip(picture * 255 + spread * rng.normal(0, 1, picture.shape) + 0.5, 0, 255), np.uint8
    )


def made_pair(picture: Picture, other: Picture, rng: Random) -> tuple[Picture, Picture]:
    """Return an earlier and a later picture of one place, made of a photograph; `other` gives what comes and goes."""
    first = picture.astype(np.float32) / np.float32(255)
    if rng.random() < OTHER_PLACE:
        height, width = picture.shape[:2]
        return np.asarray(Image.fromarray(other).resize((width, height))), picture
    second = first if rng.random() < SAME_LIGHT else _relit(first, rng)
    if rng.random() < 0.4:
        second = _shifted(second, rng)
    for _ in range(int(rng.integers(0, 4)) if rng.random() < 0.6 else 0):
        if rng.random() < 0.5:
            first = _pasted(first, other, rng)
        else:
            second = _pasted(second, other, rng)
    deviation = float(np.exp(rng.uniform(np.log(0.3), np.log(7.0))))
    return _noisy(first, deviation, rng), _noisy(second, deviation, rng)


def site_pairs(folder: Path, steps: tuple[int, ...] = (1, 2)) -> Iterator[tuple[Picture, Picture]]:
    """Yield pictures of fixed cameras with those so many before them.

    Args:
        folder: of folders, each with one camera's pictures in the order of their names, of one size.

    Raises:
        PictureError: see `sites.find`.
    """
    for site in sites.find(folder):
        pictures = [load_srgb(path) for path in site.paths]
        for step in steps:
            yield from ((a, b) for a, b in zip(pictures, pictures[step:], strict=False) if a.shape == b.shape)
