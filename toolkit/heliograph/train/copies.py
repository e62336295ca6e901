"""Channels that are computed several times, each rounded elsewhere: digits that int8 would lose in a linear chain.

A wide channel's int8 step is coarse beside what is to be told apart: the mean of 4x4 pixels moves in steps of seven
levels' worth of a fine coefficient. Of k copies with biases 1/k step apart the mean has steps 1/k as wide, for weights
alone; no accelerator needs to know. A latent, which the entropy coder reads, may have two or four: its coder takes the
mean of them, which is a whole number of sixteenths.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from heliograph.train.networks import EncoderSpec, build_encoder
from heliograph.train.quantisation import FIXED_RANGES, first_input, readers
from heliograph.train.tensors import Tensor

Array = npt.NDArray[np.float64]
_LOW, _HIGH = FIXED_RANGES["chain2"]
STEP = (_HIGH - _LOW) / 255  # of all the chain's activations


def rounding_errors(encoder: keras.Model, inverse: Array) -> dict[str, Array]:
    """Return what rounding each channel adds to the picture's squared error, float64 [channels] by layer.

    Args:
        encoder: plain and equalised, without copies.
        inverse: float64 [C, 768], the linear path from its latents to a block.
    """
    onwards = inverse
    errors = {"latent": np.square(inverse).sum(axis=1)}
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


def choose_latents(error: Array, extra: int) -> npt.NDArray[np.int64]:
    """Return which latent each of `extra` copies is of, rising, where a latent is there once, twice or four times."""
    count, left = np.ones(len(error), np.int64), extra
    while left:
        more = np.where(count > left, 0, count)  # as many again
        saved = np.where((more > 0) & (count < 4), error / count**2 - error / (count + more) ** 2, -1)
        best = int(np.argmax(saved / np.maximum(more, 1)))
        left -= int(count[best])
        count[best] *= 2
    return np.repeat(np.arange(len(error)), count - 1)


def mean_of_copies(outputs: Tensor, copies: Tensor) -> Tensor:
    """Return the latents [..., C] of an encoder's output [..., C + copies]: the mean of those there are of each.

    Args:
        copies: which latent each channel after the first C is a further copy of; None where there are none.
    """
    if copies is None:
        return outputs
    channels = outputs.shape[-1] - copies.shape[0]
    extra = ops.one_hot(ops.cast(copies, "int32"), channels)  # [copies, C]
    sums = outputs[..., :channels] + ops.matmul(outputs[..., channels:], extra)
    return sums / (1 + ops.sum(extra, axis=0))


def with_copies(
    encoder: keras.Model, spec: EncoderSpec, inverse: Array
) -> tuple[keras.Model, npt.NDArray[np.int64]]:
    """Return the plain encoder with a spec's copies, of the channels whose rounding does most harm.

    In float it computes what `encoder` does, if the mean of the latents' copies is taken. Of which latents they are is
    returned beside it, rising.

    Args:
        encoder: plain and equalised, without copies.
        spec: the shape with them.
        inverse: see `rounding_errors`.
    """
    errors = rounding_errors(encoder, inverse)
    extra = dict(zip(("chain2", "chain4", "chain8"), spec.copies, strict=False))
    latents = choose_latents(errors.pop("latent"), spec.copies[3])
    sources = {name: np.r_[: len(error), choose(error, extra[name])] for name, error in errors.items()}
    sources["latent"] = np.r_[: spec.latent, latents]
    return _copied(encoder, spec, sources), latents


def with_latent_copies(
    encoder: keras.Model, spec: EncoderSpec, inverse: Array
) -> tuple[keras.Model, npt.NDArray[np.int64]]:
    """Return the plain encoder, whose chain has a spec's copies, with its copies of latents too; see `with_copies`."""
    latents = choose_latents(np.square(inverse).sum(axis=1), spec.copies[3])
    return _copied(encoder, spec, {"latent": np.r_[: spec.latent, latents]}), latents


def _copied(
    encoder: keras.Model, spec: EncoderSpec, sources: Mapping[str, npt.NDArray[np.int64]]
) -> keras.Model:
    """Return an encoder whose layers have the channels `sources` says, by layer, of another's."""
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
        for reader, behind in readers(encoder, name):
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
