"""From trained float contexts to the integers of an entropy model, and tables counted on what they assign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec.entropy_model import (
    LOG_SIZE,
    TOTAL,
    ContextSet,
    EntropyModel,
    PassNetwork,
    ReferenceTerms,
)
from heliograph.train.context_data import ANCHORS
from heliograph.train.context_network import GATE_GAIN, LEVEL_UNIT, OFFSET_GAIN, VALUE_GAIN, ContextNetwork
from heliograph.train.context_tables import FLAG_TABLES, TABLES, TOKENS, flag_logits

MAGNITUDES = 640
_PRIOR = 30.0  # symbols that the float model's law counts for in a table
_UNIT = 16.0  # integers per unit of magnitudes, features and values


def _shift(weights: npt.NDArray[np.float64], top: int) -> int:
    """Return the largest shift at which all weights fit."""
    peak = float(np.abs(weights).max(initial=0.0))
    return int(np.clip(np.floor(np.log2(top / max(peak, 1e-9))), 1, 20))


def _scaled(weights: npt.NDArray[np.float64], shift: int, kind: str) -> npt.NDArray[Any]:
    limit = {"i1": 127, "i2": 32767, "i4": 1 << 26}[kind]
    return np.clip(np.rint(weights * 2.0**shift), -limit, limit).astype(kind)


def _integer_network(net: dict[str, Any]) -> PassNetwork:
    w = {k: np.asarray(v, np.float64) for k, v in net.items()}
    choose = w["choose"] * VALUE_GAIN
    levels = [w[name] * _UNIT / LEVEL_UNIT for name in ("level", "from") if name in w]
    near = [w[name] for name in ("own", "change", "there") if name in w]
    a = _shift(w["mix"], 127)
    b = min(_shift(w["look"], 127), *(_shift(v, 32767) for v in levels))
    c = min(_shift(choose, 127), 15, *(_shift(v, 32767) for v in near))
    reference, d = None, 0
    if "gate" in w:
        gate, bias = w["gate"] * GATE_GAIN, w["gate_bias"] * GATE_GAIN * _UNIT
        d = min(_shift(gate, 127), _shift(bias, 1 << 26))
        reference = ReferenceTerms(
            level=_scaled(levels[1], b, "i2"),
            change=_scaled(w["change"], c, "i2") if "change" in w else None,
            there=_scaled(w["there"], c, "i2"),
            gate=_scaled(gate, d, "i1"),
            gate_bias=_scaled(bias, d, "i4"),
        )
    return PassNetwork(
        shifts=(a, b, c, d),
        mix=_scaled(w["mix"], a, "i1"),
        mix_bias=_scaled(w["mix_bias"] * _UNIT, a, "i4"),
        look=_scaled(w["look"], b, "i1"),
        look_bias=_scaled(w["look_bias"] * _UNIT, b, "i4"),
        level=_scaled(levels[0], b, "i2"),
        choose=_scaled(choose, c, "i1"),
        own=_scaled(w["own"], c, "i2") if "own" in w else None,
        reference=reference,
    )


def _integer_set(network: ContextNetwork) -> ContextSet:
    offsets = np.rint(np.asarray(network.offset, np.float64) * OFFSET_GAIN * _UNIT)
    coarse = network.coarse_own
    return ContextSet(
        features=network.spec.features[int(network.refers)],
        offsets=np.clip(offsets, -16 * TABLES, 2 * 16 * TABLES).astype(np.int16),
        coarse_own=None if coarse is None else _scaled(np.asarray(coarse, np.float64), 8, "i2"),
        networks=tuple(_integer_network(net) for net in network.nets),
    )


def to_integers(
    networks: Sequence[ContextNetwork],
    steps: npt.NDArray[np.uint16],
    rounding: npt.NDArray[np.uint8],
    order: npt.NDArray[np.uint16],
    predict: npt.NDArray[np.int16],
    tile: int,
) -> EntropyModel:
    """Return trained networks, alone and with references, as integers, with the tables they trained with."""
    spec = networks[0].spec
    starts, counts = tables_from(np.pad(_law(networks[0]), ((0, 0), (0, MAGNITUDES - TOKENS))))
    logarithm = np.minimum(np.rint(_UNIT * np.log2(1 + np.arange(LOG_SIZE))), 127).astype(np.uint8)
    return EntropyModel(
        tile=tile,
        layers=spec.layers,
        group=spec.group,
        order=order,
        logarithm=logarithm,
        anchors=ANCHORS.astype(np.uint16),
        steps=steps,
        rounding=rounding,
        masking=networks[0].masking,
        predict=predict,
        sets=tuple(_integer_set(network) for network in networks),
        starts=starts,
        counts=counts,
        zeros=zeros_from(1 / (1 + np.exp(-flag_logits()))),
    )


def _law(network: ContextNetwork) -> npt.NDArray[np.float64]:
    """Return the probabilities of magnitudes in the tables a network trained with, float64 [TABLES, TOKENS]."""
    law = np.asarray(network.law, np.float64)
    p = np.exp(law - law.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def zeros_from(p: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    """Return the slots of flag 0 for its probabilities."""
    return np.clip(np.rint(p * TOTAL), 1, TOTAL - 1).astype(np.uint16)


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


class TableCounts:
    """What an entropy model's contexts assigned to each table, to count its tables anew."""

    def __init__(self, network: ContextNetwork) -> None:
        self.tokens = np.pad(_law(network) * _PRIOR, ((0, 0), (0, MAGNITUDES - TOKENS)))  # [T, MAGNITUDES]
        zero = 1 / (1 + np.exp(-flag_logits()))
        self.flags = np.stack([zero, 1 - zero], axis=1) * _PRIOR  # [B, 2]

    def add(
        self,
        tables: npt.NDArray[np.integer],
        residuals: npt.NDArray[np.integer],
        flag_tables: npt.NDArray[np.integer],
        flags: npt.NDArray[np.integer],
    ) -> None:
        """Add residuals [n] of groups that have any, and flags [m], with the tables they were coded in."""
        place = tables.astype(np.int64) * MAGNITUDES + np.minimum(np.abs(residuals), MAGNITUDES - 1)
        self.tokens += np.bincount(place.ravel(), minlength=self.tokens.size).reshape(self.tokens.shape)
        place = flag_tables.astype(np.int64) * 2 + flags
        self.flags += np.bincount(place.ravel(), minlength=2 * FLAG_TABLES).reshape(self.flags.shape)

    def tables(self, model: EntropyModel) -> EntropyModel:
        """Return the model with tables of what was added."""
        starts, counts = tables_from(self.tokens / self.tokens.sum(axis=1, keepdims=True))
        zeros = zeros_from(self.flags[:, 0] / self.flags.sum(axis=1))
        return replace(model, starts=starts, counts=counts, zeros=zeros)
