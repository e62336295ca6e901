"""What contexts are fitted on: channel order, prediction, crops of latents at random levels, with references or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec.levels import LEVEL_0, LEVELS, PER_QUALITY, from_quality, row_of, steps_at
from heliograph.codec.passes import gather, walk
from heliograph.codec.values import HIGHEST, Values
from heliograph.codec.values import LOWEST as LOWEST_VALUE
from heliograph.train.data import Supply

Latents = Values
Pair = tuple[Latents, Latents]  # an earlier picture and a later one of the same place, of one shape
ANCHORS = np.array([0, 60, 110, 150, 190, *range(LEVEL_0, LEVELS, 10 * PER_QUALITY)])
LOWEST = 30  # levels below are used for budgets of a few hundred bytes only
ROUND_UNIT = 256  # rounding 128 is to nearest; less is a dead zone


def channel_order(maps: Sequence[Latents], steps: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Return channels by falling worth, uint16 [C]: the energy of a channel's latents in steps at quality 50.

    Trained steps balance what an error of one step costs across channels, so energy in steps is what leaving
    a channel out would cost.
    """
    step = steps_at(steps, from_quality(50)).astype(np.float64)
    energy = sum(np.square(m.reshape(-1, len(step)) / step).mean(axis=0) for m in maps)
    return np.argsort(-np.asarray(energy), kind="stable").astype(np.uint16)


class Quantiser:
    """Latents in coding order to values at any level, with the encoder's dead zone and no prediction.

    Args:
        steps: uint16 [26, C]; rounding: uint8 [26].
    """

    def __init__(self, steps: npt.NDArray[np.uint16], rounding: npt.NDArray[np.uint8]) -> None:
        self.steps, self.rounding = steps, rounding

    def rounding_at(self, level: int) -> int:
        """Return the rounding of a level in 1/256 of a step."""
        return int(self.rounding[row_of(level)])

    def __call__(
        self, latents: Latents, level: int, grid: npt.NDArray[np.float64] | float = 0.0
    ) -> npt.NDArray[np.float64]:
        """Return values float64 [h, w, C] in 1/16 unit on a grid of steps that is moved by `grid` steps."""
        step = steps_at(self.steps, level)
        part = latents / step - grid
        whole = np.sign(part) * np.floor(np.abs(part) + self.rounding_at(level) / ROUND_UNIT)
        return np.asarray(np.clip((whole + grid) * step, LOWEST_VALUE, HIGHEST))


def fit_prediction(
    maps: Sequence[Latents], quantise: Quantiser, predicted: int, rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """Return weights int16 [4, 4, P, P] that predict values of layer 0: least squares over levels."""
    width = 4 * predicted
    gram, right = np.zeros((4, width, width)), np.zeros((4, width, predicted))
    part = Quantiser(quantise.steps[:, :predicted], quantise.rounding)
    for latents in maps:
        rows, columns, _ = latents.shape
        values = part(latents[..., :predicted], int(rng.integers(LOWEST, LEVELS))).reshape(-1, predicted)
        exact = latents[..., :predicted].reshape(-1, predicted).astype(np.float64)
        for number, positions, taps in walk(0, rows, columns):
            if number == 0:
                continue
            x = np.concatenate([gather(values, tap) for tap in taps], axis=1)  # [n, 4 P]
            y = exact[positions]
            scale = 1 / (1 + np.square(y).mean())  # pictures of much contrast must not outvote the others
            gram[number - 1] += scale * x.T @ x
            right[number - 1] += scale * x.T @ y
    weights = []
    for g, r in zip(gram, right, strict=True):
        spread = np.sqrt(np.diag(g) + 1e-9)  # the ridge is a share of each channel's own energy
        ridge = 3e-3 * np.eye(width)
        solved = np.linalg.solve(g / spread / spread[:, None] + ridge, r / spread[:, None]) / spread[:, None]
        weights.append(solved.reshape(4, predicted, predicted))
    integers = np.rint(np.stack(weights) * 4096)
    total = np.abs(integers).sum(axis=(1, 2), keepdims=True)
    shrink = np.minimum(1.0, ((1 << 17) - width) / np.maximum(total, 1))
    return np.asarray(np.clip(np.rint(integers * shrink), -32767, 32767), np.int16)


class LatentCrops(Supply):
    """Batches of crops for a `ContextNetwork`.

    They are weighted by 1 / `bits` at their levels, so that percent count, not bytes. Levels are uniform. References,
    where pairs are given instead of maps, are as chains of pictures leave them: on a grid of steps of their own in most
    cases, at the picture's level or near it.
    """

    def __init__(
        self,
        maps: Sequence[Latents] | Sequence[Pair],
        quantise: Quantiser,
        bits: npt.NDArray[np.float64],
        *,
        size: int,
        batch: int = 8,
        steps: int = 200,
        seed: int = 1,
    ) -> None:
        super().__init__(steps=steps, seed=seed)
        self.maps = [m for m in maps if min((m[0] if isinstance(m, tuple) else m).shape[:2]) >= size]
        self.quantise, self.bits = quantise, bits
        self.size, self.batch = size, batch

    def __getitem__(self, index: int) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.float32]]:
        rng = self.generator(index)
        rows: dict[str, list[Any]] = {}
        levels = rng.integers(LOWEST, LEVELS, self.batch)
        for level in levels.tolist():
            picked = self.maps[rng.integers(len(self.maps))]
            before, now = picked if isinstance(picked, tuple) else (None, picked)
            y, x = (int(rng.integers(n - self.size + 1)) for n in now.shape[:2])
            cut = slice(y, y + self.size), slice(x, x + self.size)
            row: dict[str, Any] = {
                "latent": now[cut].astype(np.float32),
                "step": steps_at(self.quantise.steps, level),
                "rounding": [self.quantise.rounding_at(level) / ROUND_UNIT],
                "level": [level],
            }
            if before is not None:
                row |= self.reference(before[cut], level, rng)
            for name, value in row.items():
                rows.setdefault(name, []).append(value)
        weight = 1 / np.interp(levels, ANCHORS, self.bits)
        return {n: np.asarray(v, np.float32) for n, v in rows.items()}, weight.astype(np.float32)

    def reference(self, latents: Latents, level: int, rng: np.random.Generator) -> dict[str, Any]:
        """Return the values and the level of a reference for a picture at `level`."""
        of = level
        if rng.random() < 0.35:
            of = int(np.clip(level + rng.normal(0, 90), LOWEST, LEVELS - 1))
        grid = rng.uniform(-0.5, 0.5, latents.shape) if rng.random() < 0.6 else 0.0
        return {"reference": self.quantise(latents, of, grid), "reference_level": [of]}
