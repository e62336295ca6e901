"""How much steps grow where there is much to see: fitted to a codec's latents, and in float for training.

SSIMULACRA2 and the eye miss errors beside strong structure (contrast masking: Watson 1993). Encoders of AV1 send finer
steps for smooth blocks; here both ends find them from layer 0, which costs no byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from heliograph.codec.levels import LEVEL_0, LEVELS, steps_at
from heliograph.codec.masking import MOST_GROWTH, MOST_SEEN, OCTAVE, Masking, activity, energy
from heliograph.train.context_data import ANCHORS, Latents, Quantiser

UNMASKED = 3  # channels: the means of a block's luminance and colours come first, as nothing has more energy
# Strength in 1/256 at qualities: half of it is the power of the energy's root that steps grow with.
STRENGTHS = {0: 34, 40: 31, 70: 22, 100: 14}
Tensor = Any  # of whichever backend Keras runs on


def fit_masking(maps: Sequence[Latents], quantise: Quantiser, layer: int) -> Masking:
    """Return the masking of latent maps in coding order, whose layer 0 has `layer` channels.

    A position of their mean activity has the steps of the level, so that the bytes of a quality stay about as they are.
    """
    first = min(UNMASKED, layer)
    part = Quantiser(quantise.steps[:, first:layer], quantise.rounding)
    ordinary = []
    for level in ANCHORS.tolist():
        step = steps_at(part.steps, level).astype(np.int64)
        values = [part(m[..., first:layer], level).astype(np.int64).reshape(-1, len(step)) for m in maps]
        ordinary.append(activity(energy(np.concatenate(values), step)).mean())
    quality = (ANCHORS - LEVEL_0) / (LEVELS - 1 - LEVEL_0) * 100
    strength = np.interp(quality, list(STRENGTHS), list(STRENGTHS.values()))
    return Masking(first, np.rint(ordinary).astype(np.uint16), np.rint(strength).astype(np.uint8))


def growth(value: Tensor, step: Tensor, ordinary: Tensor, strength: Tensor) -> Tensor:
    """Return the factors by which steps grow, float32 [B, h, w, 1], from masked values of layer 0 and their steps.

    `ordinary` and `strength` are those of each picture's level, float32 [B, 1, 1, 1].
    """
    size = ops.minimum(ops.floor(ops.abs(value) / step + 0.5), float(MOST_SEEN))
    total = ops.sum(ops.square(size), axis=-1, keepdims=True) + 1.0
    octave = ops.floor(ops.log(total) / float(np.log(2)) + 1e-4)
    active = OCTAVE * (octave - 1.0) + ops.floor(OCTAVE * total / 2.0**octave)
    sixteenths = ops.floor((active - ordinary) * strength / 256.0 + 0.5)
    return 2.0 ** (ops.clip(sixteenths, -MOST_GROWTH, MOST_GROWTH) / OCTAVE)
