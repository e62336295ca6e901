"""Channels that are computed several times, each rounded elsewhere: digits that int8 would lose in a linear chain.

A wide channel's int8 step is coarse beside what is to be told apart: the mean of 4x4 pixels moves in steps of seven
levels' worth of a fine coefficient. Of k copies with biases 1/k step apart the mean has steps 1/k as wide, for weights
alone; no accelerator needs to know.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt

from heliograph.train.networks import EncoderSpec, build_encoder
from heliograph.train.quantisation import FIXED_RANGES, READERS, first_input

Array = npt.NDArray[np.float64]
_LOW, _HIGH = FIXED_RANGES["chain2"]
STEP = (_HIGH - _LOW) / 255  # of all the chain's activations


def rounding_errors(encoder: keras.Model, inverse: Array) -> dict[str, Array]:
    """Return what rounding each channel of the chain adds to the picture's squared error, float64 [channels] by layer.

    Args:
        encoder: plain and equalised, without copies.
        inverse: float64 [C, 768], the linear path from its latents to a block.
    """
    onwards = inverse
    errors = {}
    for name, reader in (("chain8", "latent"), ("chain4", "chain8"), ("chain2", "chain4")):
        kernel = np.asarray(encoder.get_layer(reader).kernel, np.float64)  # [2, 2, in, out]
        kernel = kernel[:, :, : encoder.get_layer(name).filters]
        # Places before those of the layers after it: [2, 2, ..., in, 768]
        onwards = np.einsum("yxck,...kp->yx...cp", kernel, onwards)
        squares = np.square(onwards).sum(axis=-1)
        errors[name] = squares.reshape(-1, squares.shape[-1]).sum(axis=0)
    return errors


def choose(error: Array, extra: int) -> npt.NDArray[np.int64]:
    """Return which channel each of `extra` copies is of, where k of a channel leave 1/k^2 of its error."""
    count, chosen = np.ones(len(error)), []
    for _ in range(extra):
        best = int(np.argmax(error / count**2 - error / (count + 1) ** 2))
        count[best] += 1
        chosen.append(best)
    return np.array(chosen, np.int64)


def with_copies(encoder: keras.Model, spec: EncoderSpec, inverse: Array) -> keras.Model:
    """Return the plain encoder with a spec's copies, of the channels whose rounding does most harm.

    In float it computes what `encoder` does.

    Args:
        encoder: plain and equalised, without copies.
        spec: the shape with them.
        inverse: see `rounding_errors`.
    """
    errors = rounding_errors(encoder, inverse)
    extra = dict(zip(("chain2", "chain4", "chain8"), spec.copies, strict=True))
    sources = {name: np.r_[: len(error), choose(error, extra[name])] for name, error in errors.items()}
    return _copied(encoder, spec, sources)


def _copied(
    encoder: keras.Model, spec: EncoderSpec, sources: Mapping[str, npt.NDArray[np.int64]]
) -> keras.Model:
    """Return an encoder whose chain has the channels `sources` says, by layer, of another's."""
    copied = build_encoder(spec)
    weights = {
        layer.name: [np.asarray(w) for w in layer.get_weights()] for layer in encoder.layers if layer.weights
    }
    for name, source in sources.items():
        kernel, bias = weights[name]
        count = np.bincount(source)
        number = np.array([np.sum(source[:place] == one) for place, one in enumerate(source)])
        apart = (number - (count[source] - 1) / 2) / count[source] * STEP
        weights[name] = [kernel[..., source], bias[source] + apart]
        for reader, behind in READERS[name]:
            kernel, bias = weights[reader]
            first = first_input(encoder, behind)
            read = kernel[:, :, first : first + len(count)] / count[:, None]
            after = kernel[:, :, first + len(count) :]
            weights[reader] = [
                np.concatenate([kernel[:, :, :first], read[:, :, source], after], axis=2),
                bias,
            ]
    for name, values in weights.items():
        copied.get_layer(name).set_weights(values)
    return copied
