"""Fitting the entropy model of a frozen encoder on its real latents: contexts in float, then integers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from heliograph.codec import contexts, rans
from heliograph.codec.codec import open_coder
from heliograph.codec.entropy_model import LOG_SIZE, NOT_SENT, TOTAL, EntropyModel, PassNetwork
from heliograph.codec.levels import LEVELS, from_quality
from heliograph.errors import TrainingError
from heliograph.train import loop
from heliograph.train.context_data import (
    ANCHORS,
    LOWEST,
    Latents,
    Quantiser,
    ResidualCrops,
    channel_order,
    fit_prediction,
    residuals,
)
from heliograph.train.context_network import (
    OFFSET_GAIN,
    TABLES,
    TOKENS,
    VALUE_GAIN,
    ContextNetwork,
    ContextSpec,
    table_scales,
)

LAYER_SHARES = (1 / 12, 1 / 4, 1 / 2, 1)
HELD_OUT = 16  # of so many maps one is kept from the fit, to report on
PREDICTED = 16  # channels of layer 0 that are predicted, at most
CROP = 24  # positions on a side of a training crop
COUNTED_MAPS = 100  # maps that offsets and tables are counted on
MAGNITUDES = 640
_PRIOR = 30.0  # symbols that the float model's law counts for in a table
_UNIT = 16.0  # integers per unit of magnitudes, features and values
_NEVER = 2e-6  # share of non-zero residuals below which a channel is not sent
_log = logging.getLogger(__name__)


def default_layers(channels: int) -> tuple[int, ...]:
    """Return the cumulative channel counts of the usual four layers."""
    return tuple(max(1, round(channels * s)) for s in LAYER_SHARES)


def fit_contexts(
    latents: Iterable[Latents],
    steps: npt.NDArray[np.uint16],
    rounding: npt.NDArray[np.uint8],
    *,
    tile: int,
    trained: Path,
    budget: loop.Budget,
    seed: int = 1,
    spec: ContextSpec | None = None,
    order: npt.NDArray[np.uint8] | None = None,
    resume: bool = False,
) -> bytes:
    """Fit and return the entropy model file of a codec.

    Args:
        latents: maps int8 [h, w, C] of whole training pictures, in the encoder's channel order; all are kept.
        steps: uint16 [101, C], in sixteenths of a latent unit.
        rounding: uint8 [101], dead zones in 1/256 of a step.
        tile: latents on a side of the encoder's tile, even.
        trained: the float training's checkpoint, .npz; its log lies beside it.
        budget: of the float training; integers, offsets and tables take about two minutes more.
        order: uint8 [C], the coding order of channels; None finds it.
        resume: go on from the checkpoint.

    Raises:
        TrainingError: too few or too small maps, or a loss that is not finite.
    """
    keras.utils.set_random_seed(seed)
    maps = list(latents)
    held = maps[HELD_OUT // 2 :: HELD_OUT] if len(maps) >= 2 * HELD_OUT else []
    maps = [m for n, m in enumerate(maps) if n % HELD_OUT != HELD_OUT // 2 or not held]
    size = min(CROP, max((min(m.shape[:2]) for m in maps), default=0)) // 4 * 4
    if size < 4:
        raise TrainingError(
            "no latent map has 4x4 positions: fit contexts on pictures of 64x64 pixels or more"
        )
    order = channel_order(maps, steps) if order is None else order
    maps, steps = [np.ascontiguousarray(m[..., order]) for m in maps], steps[:, order]
    spec = spec or ContextSpec(default_layers(len(order)))
    quantise, rng = Quantiser(steps, rounding), np.random.default_rng(seed)
    predict = fit_prediction(maps, quantise, min(PREDICTED, spec.layers[0]), rng)
    mean, bits, share = _statistics(maps[:: max(1, len(maps) // COUNTED_MAPS)], quantise, predict)
    start = np.interp(np.log(mean + 1e-5), np.log(table_scales()), np.arange(TABLES))  # [A, C]
    network = ContextNetwork(spec, ANCHORS, start, size)
    supply = ResidualCrops(maps, quantise, predict, bits, size=size, seed=seed)
    network(supply[0][0])
    loop.train(network, supply, trained, budget=budget, peak=3e-3, resume=resume)
    model = to_integers(network, steps, rounding, order, predict, tile)
    offsets = model.offsets.copy()
    offsets[:, spec.layers[0] :][share[:, spec.layers[0] :] < _NEVER] = NOT_SENT
    model = replace(model, offsets=offsets)
    counted = maps[:: max(1, len(maps) // COUNTED_MAPS)]
    model = count_tables(model, network, counted, quantise, rng)
    data = model.to_bytes()
    EntropyModel.from_bytes(data)  # checked as a device will
    for quality, saved in savings(data, held).items() if held else ():
        _log.info(
            "contexts save %.1f %% of ideal static tables at quality %d, held out", 100 * saved, quality
        )
    return data


def savings(
    data: bytes, maps: Sequence[Latents], qualities: Sequence[int] = (10, 30, 50, 70, 90)
) -> dict[int, float]:
    """Return by quality the share of bytes that an entropy model saves on latent maps in the encoder's order.

    Compared is with ideal static tables, one for each channel, that are known without being sent.
    """
    coder = open_coder(data)
    saved = {}
    for quality in qualities:
        level, rounding = from_quality(quality), int(coder.model.rounding[quality])
        symbols = [coder.quantise(m, level, rounding) for m in maps]
        flat = np.concatenate([s.reshape(-1, s.shape[-1]) for s in symbols])
        ideal = sum(entropy(channel) for channel in flat.T) * len(flat)
        saved[quality] = 1 - sum(sum(coder.estimate(s, level)) for s in symbols) / rans.COST_UNIT / ideal
    return saved


def _statistics(
    maps: Sequence[Latents], quantise: Quantiser, predict: npt.NDArray[np.int16]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean magnitudes [A, C], ideal static bits per position [A], and shares of non-zeros [A, C]."""
    mean, bits, share = [], [], []
    for level in ANCHORS:
        flat = [
            residuals(quantise(m, int(level)), predict).reshape(-1, m.shape[-1]) for m in maps[::4] or maps
        ]
        r = np.concatenate(flat)
        mean.append(np.abs(r).mean(axis=0))
        share.append((r != 0).mean(axis=0))
        bits.append(sum(entropy(r[:, c]) for c in range(r.shape[1])))
    return np.array(mean), np.array(bits) + 1e-3, np.array(share)


def entropy(symbols: npt.NDArray[np.integer]) -> float:
    """Return the entropy of a sequence's own histogram in bits per symbol: an ideal static table's cost."""
    counts = np.unique(symbols, return_counts=True)[1]
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum())


def _shift(weights: npt.NDArray[np.float64], top: int) -> int:
    """Return the largest shift at which all weights fit."""
    peak = float(np.abs(weights).max())
    return int(np.clip(np.floor(np.log2(top / max(peak, 1e-9))), 1, 20))


def _scaled(weights: npt.NDArray[np.float64], shift: int, kind: str) -> npt.NDArray[Any]:
    limit = {"i1": 127, "i2": 32767, "i4": 1 << 26}[kind]
    return np.clip(np.rint(weights * 2.0**shift), -limit, limit).astype(kind)


def _integer_network(net: dict[str, keras.Variable]) -> PassNetwork:
    w = {k: np.asarray(v, np.float64) for k, v in net.items()}
    choose = w["choose"] * VALUE_GAIN
    own = w.get("own")
    a, b, c = (_shift(x, 127) for x in (w["mix"] if w["mix"].size else np.ones(1), w["look"], choose))
    b = min(b, _shift(w["level"] * _UNIT / 512, 32767))
    c = min(c, 15 if own is None else _shift(own, 32767))
    return PassNetwork(
        (a, b, c),
        _scaled(w["mix"], a, "i1"),
        _scaled(w["mix_bias"] * _UNIT, a, "i4"),
        _scaled(w["look"], b, "i1"),
        _scaled(w["look_bias"] * _UNIT, b, "i4"),
        _scaled(w["level"] * _UNIT / 512, b, "i2"),
        _scaled(choose, c, "i1"),
        None if own is None else _scaled(own, c, "i2"),
    )


def to_integers(
    network: ContextNetwork,
    steps: npt.NDArray[np.uint16],
    rounding: npt.NDArray[np.uint8],
    order: npt.NDArray[np.uint8],
    predict: npt.NDArray[np.int16],
    tile: int,
) -> EntropyModel:
    """Return a trained network as integers, with the tables it was trained with."""
    law = np.asarray(network.law, np.float64)
    p = np.exp(law - law.max(axis=1, keepdims=True))
    starts, counts = tables_from(np.pad(p / p.sum(axis=1, keepdims=True), ((0, 0), (0, MAGNITUDES - TOKENS))))
    logarithm = np.minimum(np.rint(_UNIT * np.log2(1 + np.arange(LOG_SIZE))), 127).astype(np.uint8)
    offsets = np.rint(np.asarray(network.offset, np.float64) * OFFSET_GAIN * _UNIT)
    return EntropyModel(
        tile,
        network.spec.layers,
        network.spec.features,
        order,
        logarithm,
        ANCHORS.astype(np.uint16),
        steps,
        rounding,
        np.clip(offsets, -16 * TABLES, 2 * 16 * TABLES).astype(np.int16),
        predict,
        _scaled(np.asarray(network.coarse_own, np.float64), 8, "i2"),
        tuple(_integer_network(net) for net in network.nets),
        starts,
        counts,
    )


def tables_from(p: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """Return starts and counts of tables for distributions of magnitudes [T, n]; signs are equally likely."""
    starts, counts = [], []
    for row in p:
        z = np.zeros(2 * len(row) - 1)
        z[0], z[1::2], z[2::2] = row[0], row[1:] / 2, row[1:] / 2
        likely = np.flatnonzero(z * TOTAL >= 0.5)
        count = int(np.clip(likely[-1] + 2, 2, 256))
        kept = np.append(z[: count - 1], z[count - 1 :].sum())
        frequency = 1 + np.floor(kept * (TOTAL - count)).astype(np.int64)
        frequency[int(np.argmax(frequency))] += TOTAL - frequency.sum()
        starts.append(np.cumsum(frequency) - frequency)
        counts.append(count)
    return np.concatenate(starts).astype(np.uint16), np.array(counts, np.int64)


def count_tables(
    model: EntropyModel,
    network: ContextNetwork,
    maps: Sequence[Latents],
    quantise: Quantiser,
    rng: np.random.Generator,
) -> EntropyModel:
    """Return the model with tables counted on the residuals that its integers assign to each."""
    law = np.asarray(network.law, np.float64)
    prior = np.exp(law - law.max(axis=1, keepdims=True))
    prior /= prior.sum(axis=1, keepdims=True)
    counts = np.pad(prior * _PRIOR, ((0, 0), (0, MAGNITUDES - TOKENS)))
    for latents in maps:
        for level in rng.integers(LOWEST, LEVELS, 2):
            for _, _, table, residual, _ in walk_residuals(model, quantise(latents, int(level)), int(level)):
                place = table.astype(np.int64) * MAGNITUDES + np.minimum(np.abs(residual), MAGNITUDES - 1)
                counts += np.bincount(place.reshape(-1), minlength=counts.size).reshape(counts.shape)
    starts, sizes = tables_from(counts / counts.sum(axis=1, keepdims=True))
    return replace(model, starts=starts, counts=sizes)


def walk_residuals(
    model: EntropyModel, symbols: npt.NDArray[np.int16], level: int
) -> Iterable[tuple[int, int, npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield layer, pass, tables, residuals and values [n, channels of the layer] of symbols [h, w, C]."""
    for coded, residual in contexts.Contexts.of(model, symbols, level).residuals(symbols):
        yield coded.layer, coded.number, coded.tables, residual, coded.values
