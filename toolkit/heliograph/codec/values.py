"""Values: a picture's latents as both ends know them, in sixteenths of a latent's unit."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

UNIT = 16  # of a value and of a step is one int8 latent unit
LOWEST, HIGHEST = -2048, 2047
ID_BYTES = 8
Values = npt.NDArray[np.int16]  # [rows, columns, C]


@dataclass(frozen=True)
class ReferencePicture:
    """A picture that both ends know, for others to refer to.

    Attributes:
        picture_id: 8 bytes.
        values: int16 [h, w, C] in the encoder's channel order.
        level: 0 to 1023.
        depth: how many pictures it builds on itself; 0 for a picture alone.
        scale: at which it was coded, see `tiles.scaled`; what refers to it has the same.
    """

    picture_id: bytes
    values: Values = field(repr=False)
    level: int
    depth: int
    scale: int = 0


def picture_id(codec_id: bytes, width: int, height: int, values: Values, scale: int = 0) -> bytes:
    """Return the 8 bytes that name the values of a picture, int16 [h, w, C] in the encoder's channel order."""
    digest = hashlib.sha256(codec_id + struct.pack("<IHH", width, height, scale))
    digest.update(np.ascontiguousarray(values, "<i2").data)
    return digest.digest()[:ID_BYTES]


def from_units(units: npt.NDArray[np.int8], copies: Sequence[int] = ()) -> Values:
    """Return the latents int16 [..., C] that a network gave, whose output is int8 [..., C + len(copies)].

    Args:
        copies: which latent each channel from C on is a further copy of; 1, 2 or 4 of one in all have their mean as its
            value.
    """
    channels = units.shape[-1] - len(copies)
    latents = units[..., :channels].astype(np.int16)
    for place, source in enumerate(copies, channels):
        latents[..., source] += units[..., place]
    count = 1 + np.bincount(np.asarray(copies, np.intp), minlength=channels)
    return np.asarray(latents * (UNIT // count).astype(np.int16))


def to_int8(values: Values) -> npt.NDArray[np.int8]:
    """Return values rounded half up to latent units, int8 of equal shape."""
    return np.asarray(np.minimum((values + UNIT // 2) >> 4, 127), np.int8)
