"""Which scale a budget is best spent at: tried on the picture itself, from coarse to fine, each by a few estimates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.codec import container, distortion, levels, resize, tiles
from heliograph.codec.pack import Packer, Trial, moved

Picture = npt.NDArray[np.uint8]
START = 0.5  # bits per coded pixel at the first scale, a few times what is best
# Correlation of what is lost by making a picture smaller with what quantisation takes: fine texture; of photographs.
ALIKE = 0.05
ENOUGH = 0.9  # share of the budget that tells the error at it
NEAR = 0.35  # octaves by which the estimate of a large one may miss it
BASE = 1 << 20  # pixels of the picture that losses are measured against, at most
DEAR = 1 << 17  # coded pixels from which a scale is not tried where the gains so far say that it will not pay
_MORE = 1.6  # octaves of bytes by which a picture of twice the side takes more at one level


@dataclass(frozen=True)
class Tried:
    """A scale: the picture made smaller, ready to be packed, and its mean squared errors at the budget.

    Attributes:
        mse: of quantisation.
        lost: what is lost by making the picture smaller.
    """

    scale: int
    picture: Picture = field(repr=False)
    packer: Packer = field(repr=False)
    level: int
    mse: float
    lost: float
    fits: bool

    @property
    def error(self) -> float:
        """The mean squared error of both."""
        return self.mse + self.lost + 2 * ALIKE * math.sqrt(self.mse * self.lost)


class Scaling:
    """The scales of one picture, uint8 [H, W, 3], for a budget of bytes.

    Args:
        packer: makes the packer of the picture at a scale, uint8 [h, w, 3].
    """

    def __init__(self, picture: Picture, max_bytes: int, packer: Callable[[Picture, int], Packer]) -> None:
        self._picture, self._max_bytes, self._packer = picture, max_bytes, packer
        self._height, self._width = picture.shape[:2]
        base = 0
        while tiles.scaled(self._width, base) * tiles.scaled(self._height, base) > BASE:
            base += 1
        self._base = resize.at_scale(picture, base)

    def best(self) -> Tried:
        """Return the scale with the least error; where not even the coarsest stream fits, the coarsest scale.

        Errors are compared without a decoder: what a picture loses when it is made smaller still and enlarged again,
        and what its quantisation loses.
        """
        first = self._first()
        began = self.at(first)
        while not began.fits and began.scale < container.MAX_SCALE and max(began.picture.shape[:2]) > 1:
            began = self.at(began.scale + 1)
        if not began.fits:
            return began
        best = self._walk(began, -1)
        return self._walk(began, 1) if best is began and began.scale == first else best

    def _walk(self, began: Tried, way: int) -> Tried:
        """Return the best scale in one direction; the walk ends when two in turn are no better."""
        best = last = began
        gains: list[float] = []  # by the octave
        while abs(last.scale - best.scale) < 2 and self._may(last, way, gains):
            other = self.at(last.scale + way, last)
            if not other.fits:
                break
            apart = abs(_octaves(last.scale) - _octaves(other.scale))
            gains.append((last.error - other.error) / apart)
            last = other
            best = min(best, other, key=lambda tried: tried.error)
        return best

    def _may(self, last: Tried, way: int, gains: list[float]) -> bool:
        """Return whether there is a next scale, and it is no dear one that what is known says to lose."""
        scale = last.scale + way
        if not 0 <= scale <= container.MAX_SCALE or (way > 0 and max(last.picture.shape[:2]) <= 1):
            return False
        pixels = tiles.scaled(self._width, scale) * tiles.scaled(self._height, scale)
        if pixels <= DEAR or way > 0 or not gains:
            return True
        return gains[-1] > 0 and (len(gains) == 1 or 2 * gains[-1] > gains[-2])

    def _first(self) -> int:
        """Return the finest scale at which the budget is START bits per coded pixel at least, or the coarsest."""
        most = 8 * self._max_bytes / START
        for scale in range(container.MAX_SCALE):
            if tiles.scaled(self._width, scale) * tiles.scaled(self._height, scale) <= most:
                return scale
        return container.MAX_SCALE

    def at(self, scale: int, near: Tried | None = None) -> Tried:
        """Try a scale; `near` is one that was tried next to it."""
        picture = resize.at_scale(self._picture, scale)
        packer = self._packer(picture, scale)
        level = levels.LEVEL_0 + 300
        if near is not None:
            level = moved(near.level, _MORE * (_octaves(scale) - _octaves(near.scale)))
        return self.tried(packer, picture, scale, level)

    def tried(self, packer: Packer, picture: Picture, scale: int, level: int) -> Tried:
        """Return what a packer of the picture at a scale would do with the budget; the level is where to begin."""
        trial = self._near(packer, level) if picture.shape[0] * picture.shape[1] > DEAR else None
        if trial is None:
            trials: dict[int, Trial] = {}
            trial = trials[packer.search(self._max_bytes, level, ENOUGH, trials)]
        # Along the curve of a picture a bit more or less is worth what RDOQ takes it to be worth.
        bit = (
            distortion.squared_step(trial.level) / distortion.STRENGTH / (picture.shape[0] * picture.shape[1])
        )
        more = 0.0 if trial.level == levels.LEVELS - 1 else 8 * bit * (self._max_bytes - trial.bytes)
        mse = max(trial.mse - more, 0.0)
        fits = trial.level > 0 or trial.bytes <= self._max_bytes
        return Tried(scale, picture, packer, trial.level, mse, self._lost(picture), fits)

    def _near(self, packer: Packer, level: int) -> Trial | None:
        """Return a trial of about the budget after two at most, or None."""
        for _ in range(2):
            trial = packer.try_level(min(max(level, 0), levels.LEVELS - 1))
            miss = math.log2(self._max_bytes / trial.bytes)
            if abs(miss) < NEAR or (miss > 0 and trial.level == levels.LEVELS - 1):
                return trial
            level = moved(trial.level, miss)
        return None

    def _lost(self, picture: Picture) -> float:
        """Return the mean squared error that a picture has when it is enlarged again, against the base."""
        height, width = self._base.shape[:2]
        if picture.shape[0] * picture.shape[1] >= width * height:
            return 0.0
        large = np.asarray(
            Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS), np.int16
        )
        apart = (large - self._base).ravel().astype(np.float32)
        return float(np.vdot(apart, apart)) / apart.size


def _octaves(scale: int) -> float:
    return math.log2((2 + (scale & 1)) << (scale >> 1)) - 1
