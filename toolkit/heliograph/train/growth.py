"""A larger server decoder that draws what a smaller one does: new channels that nobody reads, new blocks of nothing."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from heliograph.server.network import DecoderSpec, build_decoder

Array = npt.NDArray[np.float32]


def grown(decoder: keras.Model, known: DecoderSpec, wanted: DecoderSpec, *, seed: int) -> keras.Model:
    """Return a decoder of a wanted shape that starts as a known one.

    Where the wanted one is smaller in a width or a number of blocks it has the known one's linear path alone.

    Args:
        decoder: of `build_decoder`.
        known: its shape.
        wanted: the shape to return.
        seed: of the new channels' weights.
    """
    if wanted == known:
        return decoder
    keras.utils.set_random_seed(seed)
    larger = build_decoder(wanted, int(decoder.inputs[0].shape[-1]))
    pairs = zip((*known.widths, *known.blocks), (*wanted.widths, *wanted.blocks), strict=True)
    names = {layer.name for layer in decoder.layers if layer.weights}
    if any(new < old for old, new in pairs):
        names = {"inverse", "latent_norm"}
    for layer in larger.layers:
        if layer.name in names:
            before = [np.asarray(w) for w in decoder.get_layer(layer.name).get_weights()]
            after = [np.asarray(w) for w in layer.get_weights()]
            layer.set_weights([_grown(layer.name, a, b) for a, b in zip(before, after, strict=True)])
        elif layer.name.endswith("_out"):
            layer.set_weights(
                [np.zeros(w.shape, np.float32) for w in layer.get_weights()]
            )  # adds nothing yet
    return larger


def _parts(name: str) -> int:
    """Return of how many equal parts a layer's outputs consist, each of which grows by itself."""
    if name.startswith("up"):
        return 4  # which DepthToSpace moves to four places
    return 2 if name.endswith("_quality") else 1  # scales, then shifts


def _grown(name: str, before: Array, after: Array) -> Array:
    """Return weights of a new shape: the known ones, zero where an old output would read a new input."""
    parts = _parts(name)
    old, new = before.shape[-1] // parts, after.shape[-1] // parts
    cells = after.reshape(*after.shape[:-1], parts, new).copy()
    known = before.reshape(*before.shape[:-1], parts, old)
    corner = tuple(slice(0, n) for n in before.shape[:-1])
    cells[..., :old] = 0
    cells[(*corner, slice(None), slice(0, old))] = known
    return cells.reshape(after.shape)
