"""Fitting the entropy model of a frozen encoder on its real latents: contexts in float, then integers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from heliograph.codec import rans
from heliograph.codec.codec import open_coder
from heliograph.codec.coder import Reference
from heliograph.codec.contexts import Contexts, steps_by_position
from heliograph.codec.distortion import STRENGTH
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.levels import LEVELS, from_quality, row_of, steps_at
from heliograph.codec.numpy_coder import NumpyCoder
from heliograph.errors import TrainingError
from heliograph.train import loop
from heliograph.train.context_data import (
    ANCHORS,
    LOWEST,
    LatentCrops,
    Latents,
    Pair,
    Quantiser,
    channel_order,
    fit_prediction,
)
from heliograph.train.context_integers import TableCounts, to_integers
from heliograph.train.context_network import ContextNetwork
from heliograph.train.context_spec import ContextSpec
from heliograph.train.context_tables import FLAG_TABLES, TABLES, flag_logits, table_scales
from heliograph.train.masking import fit_masking

LAYER_SHARES = (1 / 12, 1 / 4, 1 / 2, 1)
HELD_OUT = 16  # of so many maps one is kept from the fit, to report on
PREDICTED = 16  # channels of layer 0 that are predicted, at most
CROP = 25  # positions on a side of a training crop, 4 n + 1
COUNTED_MAPS = 100  # maps that offsets and tables are counted on
REFERENCE_SHARE = 0.5  # of the budget, for contexts with a reference
_log = logging.getLogger(__name__)


def default_spec(channels: int, features: tuple[tuple[int, int], tuple[int, int]]) -> ContextSpec:
    """Return the usual four layers of whole groups: of 16 channels, or 8 of few."""
    group = 16 if channels >= 192 else 8 if channels >= 32 else max(1, channels // 8)
    layers = [max(group, round(channels * share / group) * group) for share in LAYER_SHARES[:-1]]
    return ContextSpec((*dict.fromkeys(layers), channels), group, features)


def fit_contexts(
    latents: Iterable[Latents],
    pairs: Iterable[Pair],
    steps: npt.NDArray[np.uint16],
    rounding: npt.NDArray[np.uint8],
    *,
    tile: int,
    trained: tuple[Path, Path],
    budget: loop.Budget,
    spec: ContextSpec,
    seed: int = 1,
    order: npt.NDArray[np.uint16] | None = None,
    resume: bool = False,
) -> bytes:
    """Fit and return the entropy model file of a codec.

    Args:
        latents: maps int16 [h, w, C] of whole training pictures, in the encoder's channel order; all are kept.
        pairs: maps of an earlier and a later picture of one place; without any the model codes pictures alone.
        steps: uint16 [26, C], in sixteenths of a latent unit.
        rounding: uint8 [26], dead zones in 1/256 of a step.
        tile: latents on a side of the encoder's tile, even.
        trained: where the checkpoints of both contexts lie, .npz, alone and with a reference.
        budget: of the float training; integers, offsets and tables take about two minutes more.
        order: uint16 [C], the coding order of channels; None finds it.
        resume: go on from the checkpoints.

    Raises:
        TrainingError: too few or too small maps, or a loss that is not finite.
    """
    keras.utils.set_random_seed(seed)
    maps = list(latents)
    held = maps[HELD_OUT // 2 :: HELD_OUT] if len(maps) >= 2 * HELD_OUT else []
    maps = [m for n, m in enumerate(maps) if n % HELD_OUT != HELD_OUT // 2 or not held]
    size = (min(CROP, max((min(m.shape[:2]) for m in maps), default=0)) - 1) // 4 * 4 + 1
    if size < 5:
        raise TrainingError(
            "no latent map has 5x5 positions: fit contexts on pictures of 80x80 pixels or more"
        )
    order = channel_order(maps, steps) if order is None else order
    maps = [np.ascontiguousarray(m[..., order]) for m in maps]
    ordered = [(np.ascontiguousarray(a[..., order]), np.ascontiguousarray(b[..., order])) for a, b in pairs]
    quantise, rng = Quantiser(steps[:, order], rounding), np.random.default_rng(seed)
    predict = fit_prediction(maps, quantise, min(PREDICTED, spec.layers[0]), rng)
    counted = maps[:: max(1, len(maps) // COUNTED_MAPS)]
    start, bits = _statistics(counted[::4] or counted, quantise, spec)
    of_alone, of_references = budget.split(1 - REFERENCE_SHARE) if ordered else (budget, budget)
    masking = fit_masking(counted, quantise, spec.layers[0])
    alone = ContextNetwork(spec, ANCHORS, start, predict / 4096, masking, size)
    supply = LatentCrops(maps, quantise, bits, size=size, seed=seed)
    alone(supply[0][0])
    loop.train(alone, supply, trained[0], budget=of_alone, peak=3e-3, resume=resume)
    networks = [alone]
    if ordered:
        offsets = alone.offsets_in_tables()
        referring = ContextNetwork(spec, ANCHORS, offsets, predict / 4096, masking, size, alone)
        supply = LatentCrops(ordered, quantise, bits, size=size, seed=seed)
        referring(supply[0][0])
        loop.train(referring, supply, trained[1], budget=of_references, peak=3e-3, resume=resume)
        networks.append(referring)
    model = to_integers(networks, steps[:, order], rounding, order, predict, tile)
    model = count_tables(model, alone, counted, ordered[:: max(1, len(ordered) // COUNTED_MAPS)], rng)
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
        level = from_quality(quality)
        rounding = int(coder.model.rounding[row_of(level)])
        quantise = Quantiser(coder.model.steps, coder.model.rounding)
        step = steps_at(coder.model.steps, level)
        ordered = []
        for latents in maps:
            values = latents[..., coder.model.order]
            even = quantise(values, level).astype(np.int16)
            grown = steps_by_position(coder.model, even, level)
            ordered.append(np.rint(quantise((values * (step / grown)).astype(np.int16), level) / step))
        flat = np.concatenate([s.reshape(-1, s.shape[-1]) for s in ordered])
        ideal = sum(entropy(channel) for channel in flat.T) * len(flat)
        coded = (coder.encode(m, level, rounding=rounding, strength=0, only_estimate=True) for m in maps)
        saved[quality] = 1 - sum(sum(c.bits) for c in coded) / rans.COST_UNIT / ideal
    return saved


def _statistics(
    maps: Sequence[Latents], quantise: Quantiser, spec: ContextSpec
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return starting offsets [A, C + Q] in tables, and ideal static bits per position [A], of maps in coding order."""
    starts, bits = [], []
    for level in ANCHORS.tolist():
        step = steps_at(quantise.steps, level)
        r = np.concatenate([np.rint(quantise(m, level) / step).reshape(-1, len(step)) for m in maps])
        mean = np.abs(r).mean(axis=0)
        tables = np.interp(np.log(mean + 1e-5), np.log(table_scales()), np.arange(TABLES))
        groups = [group for layer in range(len(spec.layers)) for group in spec.groups(layer)]
        zero = np.array([_zero_share(r[:, group]) for group in groups])
        logits = np.log(zero + 1e-4) - np.log(1 - zero + 1e-4)
        flags = np.interp(-logits, -flag_logits(), np.arange(FLAG_TABLES))
        starts.append(np.concatenate([tables, flags]))
        bits.append(sum(entropy(channel) for channel in r.T))
    return np.array(starts), np.array(bits) + 1e-3


def _zero_share(r: npt.NDArray[np.float64]) -> float:
    """Return the share of positions where all of a group is 0, of [positions, channels]."""
    return float((r == 0).all(axis=1).mean())


def entropy(symbols: npt.NDArray[np.generic]) -> float:
    """Return the entropy of a sequence's own histogram in bits per symbol: an ideal static table's cost."""
    counts = np.unique(symbols, return_counts=True)[1]
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum())


def count_tables(
    model: EntropyModel,
    network: ContextNetwork,
    maps: Sequence[Latents],
    pairs: Sequence[Pair],
    rng: np.random.Generator,
) -> EntropyModel:
    """Return the model with tables counted on what its integers assign to each, quantised as streams are.

    Args:
        model: with the tables it trained with.
        network: of pictures alone, whose law counts too.
        maps, pairs: in coding order.
        rng: of the levels.
    """
    counts, coder = TableCounts(network), NumpyCoder(model.to_bytes())
    quantise = Quantiser(model.steps, model.rounding)

    def add(latents: Latents, level: int, reference: Reference | None) -> None:
        rows, columns, _ = latents.shape
        contexts = Contexts(model, rows, columns, level, reference)
        ordered = np.empty_like(latents)
        ordered[..., model.order] = latents
        for coded, residual, flag in coder.encode_passes(contexts, ordered, rounding=128, strength=STRENGTH):
            sent = coded.by_channel(flag)
            counts.add(coded.tables[sent], residual[sent], coded.flag_tables, flag.astype(np.int64))

    for latents in maps:
        for level in rng.integers(LOWEST, LEVELS, 2).tolist():
            add(latents, level, None)
    for before, latents in pairs:
        level = int(rng.integers(LOWEST, LEVELS))
        grid = rng.uniform(-0.5, 0.5, before.shape)
        values = np.rint(quantise(before, level, grid)).astype(np.int16)
        add(latents, level, Reference(values, level))
    return counts.tables(model)
