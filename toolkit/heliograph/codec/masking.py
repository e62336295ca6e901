"""Masking: above layer 0 steps grow with what layer 0 has at a position (FORMAT.md, section 5).

Where there is much to see the eye misses errors that it finds on a smooth wall (contrast masking). Both ends know layer
0 before the rest, so that how much steps grow takes no byte.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.codec.levels import LEAST_STEP

OCTAVE = 16  # growths of a step in a factor of 2, and activities in one of energy
MOST_GROWTH = 24
MOST_SEEN = 63  # steps of a value, in the energy of a position
_SHIFT = 8
_FACTORS = np.rint(1024 * 2.0 ** (np.arange(OCTAVE) / OCTAVE)).astype(np.int64)
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Masking:
    """How the steps of layers above 0 grow with the activity of a position, the logarithm of layer 0's energy in steps.

    Attributes:
        unmasked: channels of layer 0, the first ones, that do not count: those of mean brightness and colour.
        ordinary: uint16 [A], at the anchors, the activity in sixteenths of an octave at which steps are the level's.
        strength: uint8 [A], what they grow with more of it, in 1/256.
    """

    unmasked: int
    ordinary: npt.NDArray[np.uint16]
    strength: npt.NDArray[np.uint8]


def energy(values: Int64, steps: Int64) -> Int64:
    """Return the sums int64 [n] of the squares of values int64 [n, C] in their steps, int64 [C]."""
    size = np.minimum((np.abs(values) + (steps >> 1)) // steps, MOST_SEEN)
    return np.asarray(np.square(size).sum(axis=1))


def activity(energy: Int64) -> Int64:
    """Return the activity of positions of an energy, int64 [n]: its logarithm in sixteenths of an octave, 0 of none."""
    total = energy + 1
    octave = np.frexp(total)[1].astype(np.int64) - 1  # whole part of its logarithm
    return np.asarray(OCTAVE * (octave - 1) + ((OCTAVE * total) >> octave))


def growth(energy: Int64, ordinary: int, strength: int) -> Int64:
    """Return how steps grow at positions of an energy, int64 [n], in sixteenths of an octave; up to MOST_GROWTH."""
    grown = ((activity(energy) - ordinary) * strength + (1 << (_SHIFT - 1))) >> _SHIFT
    return np.asarray(np.clip(grown, -MOST_GROWTH, MOST_GROWTH))


def grown_steps(steps: Int64, growth: Int64) -> Int64:
    """Return the steps int64 [n, C] at n positions: of each channel, int64 [C], times 2 to the power of growth / 16.

    Growths are int64 [n], from -MOST_GROWTH to MOST_GROWTH. Steps are LEAST_STEP to 65,535.
    """
    shift = 10 - (growth[:, None] >> 4)
    grown = (steps * _FACTORS[growth & 15][:, None] + (1 << (shift - 1))) >> shift
    return np.asarray(np.clip(grown, LEAST_STEP, 65_535))
