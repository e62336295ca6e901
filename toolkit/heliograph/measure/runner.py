"""A way to run an encoder, of which there are several to compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.codec import tiles
from heliograph.codec.codec import Codec
from heliograph.errors import HeliographError

Picture = npt.NDArray[np.uint8]
Units = npt.NDArray[np.int8]
Tile = npt.NDArray[np.int8]
Layers = dict[str, npt.NDArray[np.int8]]


@dataclass(frozen=True)
class Runner:
    """A way to run an encoder.

    Attributes:
        name: for people and reports.
        identity: name and version, what results depend on.
        note: what it is.
        units: a picture uint8 [H, W, 3] to what the network gives, int8 [h, w, C + copies], see `Codec.copies`.
        layers: a picture to the outputs of all operations on its first tile, by name in order of execution; None
            where the runtime does not tell.
        errors: what it raises where it cannot run here.
    """

    name: str
    identity: str
    note: str
    units: Callable[[Picture], Units]
    layers: Callable[[Picture], Layers] | None = None
    errors: tuple[type[Exception], ...] = (HeliographError, ImportError)


def tiled(codec: Codec, run: Callable[[Tile], Units], picture: Picture) -> Units:
    """Return what a network gives of a picture, by a function of one tile: int8 [T, T, 3] to [T/16, T/16, outputs]."""
    shape = tiles.latent_shape(picture.shape[1], picture.shape[0])
    out = np.empty((*shape, codec.outputs), np.int8)
    for (rows, columns), tile in tiles.cut(picture, codec.tile):
        part = run((tile ^ 0x80).view(np.int8))
        out[rows, columns] = part[: rows.stop - rows.start, : columns.stop - columns.start]
    return out
