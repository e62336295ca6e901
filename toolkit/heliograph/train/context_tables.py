"""The tables of contexts in float: laws of magnitudes and of flags, and what they cost between two tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

TABLES, FLAG_TABLES = 64, 48
TOKENS = 48  # magnitudes 0 to 46, and the rest
SMALLEST, LARGEST = 2.0**-10, 2.0**5.6  # mean magnitudes of the first and the last table
FLAG_LOGITS = (9.7, -6.5)  # log odds of flag 0 in the first and the last table
_LOG2 = float(np.log(2))
Tensor = Any  # of whichever backend Keras runs on


def table_scales() -> npt.NDArray[np.float64]:
    """Return the mean magnitude each table starts with, float64 [TABLES], geometric."""
    return np.asarray(SMALLEST * (LARGEST / SMALLEST) ** (np.arange(TABLES) / (TABLES - 1)))


def flag_logits() -> npt.NDArray[np.float64]:
    """Return the log odds of flag 0 in each table of flags, float64 [FLAG_TABLES]."""
    return np.linspace(*FLAG_LOGITS, FLAG_TABLES)


def start_tables() -> npt.NDArray[np.float64]:
    """Return log probabilities of magnitudes, float64 [TABLES, TOKENS]: two-sided geometric laws."""
    mean = table_scales()[:, None]
    ratio = mean / (np.sqrt(1 + mean**2) + 1)  # of neighbouring magnitudes, E|k| = 2r / (1 - r^2)
    k = np.arange(TOKENS)[None, :]
    p = (1 - ratio) / (1 + ratio) * ratio**k * np.where(k > 0, 2, 1)
    p[:, -1] = 2 / (1 + ratio[:, 0]) * ratio[:, 0] ** (TOKENS - 1)
    return np.asarray(np.log(p + 1e-9))


def costs(law: Tensor) -> Tensor:
    """Return the bits of each magnitude, its sign included, float32 [TABLES * TOKENS], of log probabilities."""
    bits = (ops.logsumexp(law, axis=-1, keepdims=True) - law) / _LOG2
    signs = np.concatenate([[0.0], np.ones(TOKENS - 1)]).astype(np.float32)
    return ops.reshape(bits + signs, (-1,))


def cost(costs: Tensor, value: Tensor, token: Tensor) -> Tensor:
    """Return the bits of residuals of magnitude `token` at values in table units, of equal shape."""
    value = ops.clip(value, 0.0, TABLES - 1.001)
    low = ops.stop_gradient(ops.floor(value))
    part = value - low
    place = ops.cast(low * TOKENS + ops.minimum(token, TOKENS - 1.0), "int32")
    return (1 - part) * ops.take(costs, place) + part * ops.take(costs, place + TOKENS)


def slope(costs: Tensor, value: Tensor, magnitude: Tensor) -> Tensor:
    """Return 0, with the gradient by `magnitude` that costs have between the two whole ones beside it."""
    below = ops.stop_gradient(ops.floor(magnitude))
    rise = ops.stop_gradient(cost(costs, value, below + 1.0) - cost(costs, value, below))
    return rise * (magnitude - ops.stop_gradient(magnitude))


def flag_cost(value: Tensor, flag: Tensor) -> Tensor:
    """Return the bits of flags at values in table units, of equal shape."""
    logits = ops.convert_to_tensor(flag_logits().astype(np.float32))
    value = ops.clip(value, 0.0, FLAG_TABLES - 1.001)
    low = ops.stop_gradient(ops.floor(value))
    place = ops.cast(low, "int32")
    way = 2.0 * flag - 1.0  # cost of flag 0 is log(1 + e^-logit), of flag 1 log(1 + e^logit)
    first, second = (ops.softplus(way * ops.take(logits, place + n)) for n in (0, 1))
    return ((1 - (value - low)) * first + (value - low) * second) / _LOG2
