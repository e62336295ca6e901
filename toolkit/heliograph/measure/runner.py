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
Latents = npt.NDArray[np.int8]
Tile = npt.NDArray[np.int8]
Layers = dict[str, npt.NDArray[np.int8]]


@dataclass(frozen=True)
class Runner:
    """A way to run an encoder.

    Attributes:
        name: for people and reports.
        identity: name and version, what results depend on.
        note: what it is.
        latents: a picture uint8 [H, W, 3] to latents int8 [h, w, C].
        layers: a picture to the outputs of all operations on its first tile, by name in order of execution; None
            where the runtime does not tell.
        errors: what it raises where it cannot run here.
    """

    name: str
    identity: str
    note: str
    latents: Callable[[Picture], Latents]
    layers: Callable[[Picture], Layers] | None = None
    errors: tuple[type[Exception], ...] = (HeliographError, ImportError)


def tiled(codec: Codec, run: Callable[[Tile], Latents], picture: Picture) -> Latents:
    """Return the latents of a picture by a function of one tile, int8 [T, T, 3] to int8 [T/16, T/16, C]."""
    shape = tiles.latent_shape(picture.shape[1], picture.shape[0])
    out = np.empty((*shape, codec.channels), np.int8)
    for (rows, columns), tile in tiles.cut(picture, codec.tile):
        latents = run((tile ^ 0x80).view(np.int8))
        out[rows, columns] = latents[: rows.stop - rows.start, : columns.stop - columns.start]
    return out
