"""What contexts are fitted on: channel order, prediction, and crops of residuals at random levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heliograph.codec import quantise
from heliograph.codec.contexts import gather, predict, walk
from heliograph.codec.levels import LEVEL_0, LEVELS, PER_QUALITY, from_quality, steps_at, to_quality
from heliograph.codec.quantise import QUALITIES
from heliograph.train.data import Supply

Latents = npt.NDArray[np.int8]
Symbols = npt.NDArray[np.int16]
ANCHORS = np.array([0, 60, 110, 150, 190, *range(LEVEL_0, LEVELS, 10 * PER_QUALITY)])
LOWEST = 30  # levels below are used for budgets of a few hundred bytes only


def channel_order(maps: Sequence[Latents], steps: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Return channels by falling worth, uint8 [C]: the energy of a channel's symbols at quality 50.

    Trained steps balance what an error of one step costs across channels, so energy in steps is what leaving
    a channel out would cost.
    """
    step = steps_at(steps, from_quality(50)).astype(np.float64)
    energy = sum(np.square(m.reshape(-1, len(step)) * (16 / step)).mean(axis=0) for m in maps)
    return np.argsort(-np.asarray(energy), kind="stable").astype(np.uint8)


class Quantiser:
    """Latents in coding order to symbols at any level, with the encoder's dead zone."""

    def __init__(self, steps: npt.NDArray[np.uint16], rounding: npt.NDArray[np.uint8]) -> None:
        self.steps, self.rounding = steps, rounding

    def __call__(self, latents: Latents, level: int) -> Symbols:
        quality = min(max(0, int(to_quality(level))), QUALITIES - 1)
        return quantise.quantise(latents, steps_at(self.steps, level), int(self.rounding[quality]))


def fit_prediction(
    maps: Sequence[Latents], quantise: Quantiser, predicted: int, rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """Return weights int16 [4, 4, P, P] that predict symbols of layer 0: least squares over levels."""
    width = 4 * predicted
    gram, right = np.zeros((4, width, width)), np.zeros((4, width, predicted))
    for latents in maps:
        rows, columns, _ = latents.shape
        level = int(rng.integers(LOWEST, LEVELS))
        symbols = quantise_first(quantise, latents, level, predicted)
        for number, positions, taps in walk(0, rows, columns):
            if number == 0:
                continue
            x = np.concatenate([gather(symbols, tap) for tap in taps], axis=1)  # [n, 4 P]
            y = symbols[positions].astype(np.float64)
            scale = 1 / (1 + np.square(y).mean())  # fine levels must not outvote coarse ones
            gram[number - 1] += scale * x.T @ x
            right[number - 1] += scale * x.T @ y
    weights = []
    for g, r in zip(gram, right, strict=True):
        ridge = 1e-3 * np.trace(g) / width + 1e-9
        weights.append(np.linalg.solve(g + ridge * np.eye(width), r).reshape(4, predicted, predicted))
    integers = np.rint(np.stack(weights) * 4096)
    total = np.abs(integers).sum(axis=(1, 2), keepdims=True)
    shrink = np.minimum(1.0, ((1 << 17) - width) / np.maximum(total, 1))
    return np.asarray(np.clip(np.rint(integers * shrink), -32767, 32767), np.int16)


def quantise_first(quantise: Quantiser, latents: Latents, level: int, count: int) -> Symbols:
    """Return symbols of the first channels, int16 [positions, count]."""
    part = Quantiser(quantise.steps[:, :count], quantise.rounding)
    symbols: Symbols = part(latents[..., :count], level).reshape(-1, count)
    return symbols


def residuals(symbols: Symbols, weights: npt.NDArray[np.int16]) -> Symbols:
    """Return what is coded of symbols int16 [h, w, C]: the first channels less their prediction."""
    rows, columns, channels = symbols.shape
    flat = symbols.reshape(-1, channels)
    out, count = flat.copy(), weights.shape[-1]
    for number, positions, taps in walk(0, rows, columns):
        out[positions, :count] -= predict(weights, flat, number, taps).astype(np.int16)
    return out.reshape(symbols.shape)


class ResidualCrops(Supply):
    """Batches ({"residual": float32 [B, size, size, C], "level": float32 [B, 1]}, weights float32 [B]).

    Levels are uniform; a crop's weight is 1 / `bits` at its level, so that percent count, not bytes.
    """

    def __init__(
        self,
        maps: Sequence[Latents],
        quantise: Quantiser,
        weights: npt.NDArray[np.int16],
        bits: npt.NDArray[np.float64],
        *,
        size: int,
        batch: int = 8,
        steps: int = 200,
        seed: int = 1,
    ) -> None:
        super().__init__(steps=steps, seed=seed)
        self.maps = [m for m in maps if min(m.shape[:2]) >= size]
        self.quantise, self.weights, self.bits = quantise, weights, bits
        self.size, self.batch = size, batch

    def __getitem__(self, index: int) -> tuple[dict[str, npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
        rng = self.generator(index)
        crops, levels = [], []
        for _ in range(self.batch):
            latents = self.maps[rng.integers(len(self.maps))]
            y, x = (int(rng.integers(n - self.size + 1)) for n in latents.shape[:2])
            level = int(rng.integers(LOWEST, LEVELS))
            symbols = self.quantise(latents[y : y + self.size, x : x + self.size], level)
            crops.append(residuals(symbols, self.weights))
            levels.append(level)
        weight = 1 / np.interp(levels, ANCHORS, self.bits)
        inputs = {
            "residual": np.stack(crops).astype(np.float32),
            "level": np.array(levels, np.float32)[:, None],
        }
        return inputs, weight.astype(np.float32)
