"""What symbols would take under ideal static tables: what contexts are measured against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def ideal_bytes(symbols: Sequence[npt.NDArray[np.int16]]) -> float:
    """Return the bytes that symbols [h, w, C] of several pictures take under ideal static tables per channel.

    The tables are those of just these symbols and cost nothing, so no codec with static tables reaches this.
    """
    flat = np.concatenate([s.reshape(-1, s.shape[-1]) for s in symbols])
    bits = 0.0
    for channel in flat.T:
        counts = np.unique(channel, return_counts=True)[1].astype(np.float64)
        bits += float((counts * (np.log2(len(flat)) - np.log2(counts))).sum())
    return bits / 8
