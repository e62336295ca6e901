"""Starting points: the encoder's linear chain as a truncated 16x16 DCT, the decoder's inverse path as its inverse.

Training that starts at a good transform coder reaches in minutes what a random start needs hours for.
"""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from heliograph.train.networks import EncoderSpec

Array = npt.NDArray[np.float64]

# Orthonormal opponent colours: luminance, red-blue, green-magenta.
OPPONENT: Array = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])


def dct_matrix(n: int) -> Array:
    """Return the orthonormal DCT-II, float64 [n, n], rows are basis functions."""
    k, x = np.arange(n)[:, None], np.arange(n)[None, :]
    basis = np.cos(np.pi * (x + 0.5) * k / n) * np.sqrt(2 / n)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis)


def truncated_dct(channels: int) -> tuple[Array, Array]:
    """Return the `channels` strongest 16x16x3 DCT functions and their expected standard deviations.

    Strength follows the 1/f spectrum of natural pictures, chroma a tenth of luminance.

    Returns:
        float64 [channels, 16, 16, 3] (orthonormal, y, x, rgb) and float64 [channels], strongest first.
    """
    d = dct_matrix(16)
    f = np.hypot(*np.meshgrid(np.arange(16), np.arange(16)))  # [16, 16]
    std = np.array([1.0, 0.16, 0.1])[:, None, None] / (f + 0.5)  # [colour, v, u]
    order = np.argsort(-std.reshape(-1), kind="stable")[:channels]
    colour, v, u = np.unravel_index(order, std.shape)
    basis = np.einsum("ny,nx,nc->nyxc", d[v], d[u], OPPONENT[colour])
    return basis, std.reshape(-1)[order]


def _haar(channels: int) -> Array:
    """2x2 orthonormal Haar of `channels` maps as a kernel [2, 2, channels, 4*channels]."""
    h = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2  # [k, yx]
    kernel = np.zeros((2, 2, channels, 4 * channels))
    for c in range(channels):
        for k in range(4):
            kernel[:, :, c, k * channels + c] = h[k].reshape(2, 2)
    return kernel


def start_encoder(encoder: keras.Model, spec: EncoderSpec, images: npt.NDArray[np.float32]) -> Array:
    """Set the chain to a truncated DCT, a normalised branch to unit input and no output; see `start_chain`."""
    composite = start_chain(encoder, spec)
    if spec.has_branch:
        start_branch(encoder, images)
    return composite


def start_chain(encoder: keras.Model, spec: EncoderSpec) -> Array:
    """Set the chain to a truncated DCT.

    Args:
        encoder: float encoder of `build_encoder`, freshly initialised.
        spec: its shape.

    Returns:
        float64 [C, 768]: the linear map from a 16x16x3 block (y, x, rgb) to the latent that was set.
    """
    basis, std = truncated_dct(spec.latent)
    return set_chain(encoder, spec, basis, std, np.eye(192))


def set_chain(encoder: keras.Model, spec: EncoderSpec, wanted: Array, weight: Array, spread: Array) -> Array:
    """Set the chain to a linear map of blocks that are centred at mid-grey, as near as its channels allow.

    Three 2x2 stages reach 1/8; where they carry fewer than 192 channels the subspace is kept in which the map, weighted
    and of inputs that are spread so, loses least of its squares, and the last stage is the map on it.

    Args:
        encoder: float encoder of `build_encoder`.
        spec: its shape.
        wanted: float64 [C, 16, 16, 3] (y, x, rgb).
        weight: float64 [C], what an error of each latent weighs.
        spread: float64 [192, 192], symmetric: square root of the covariance of `quadrants`.

    Returns:
        float64 [C, 768]: the map that was set.
    """
    first, second, four = _halvings()
    # The map's rows seen from each 8x8 quadrant, in the coordinates of the four 4x4 cells in it.
    cells = wanted.reshape(-1, 2, 2, 4, 2, 2, 4, 3)  # [n, qy, cy, 4, qx, cx, 4, rgb]
    quad = np.einsum("nqayQAxr,yxrm->nqQaAm", cells, four)  # [n, qy, qx, cy, cx, 48]
    stack = (quad * weight[:, None, None, None, None, None]).reshape(-1, 4 * 48) @ spread
    _, _, right = np.linalg.svd(stack, full_matrices=True)
    keep = right[: spec.middle] @ np.linalg.inv(spread)  # [middle, 192]
    back = spread @ right[: spec.middle].T  # [192, middle]
    size = np.linalg.norm(keep, axis=1)
    keep, back = keep / size[:, None], back * size
    third = keep.reshape(spec.middle, 2, 2, 48).transpose(1, 2, 3, 0)
    last = np.einsum("nqQk,km->qQmn", quad.reshape(-1, 2, 2, 192), back)  # [2, 2, middle, C]
    for name, kernel in (("chain2", first), ("chain4", second), ("chain8", third), ("latent", last)):
        layer = encoder.get_layer(name)
        layer.kernel.assign(kernel.astype(np.float32))
        layer.bias.assign(np.zeros(kernel.shape[-1], np.float32))
    # Pictures are in [0, 1]: centred at 0.5 at once, every later channel is signed and small, zero
    # padding means mid-grey, and a two-sided int8 range fits.
    encoder.get_layer("chain2").bias.assign((-0.5 * first.sum(axis=(0, 1, 2))).astype(np.float32))
    composite = np.einsum("qQmn,aAkm,yxrk->nqayQAxr", last, third, four).reshape(spec.latent, 768)
    return np.asarray(composite)


def _halvings() -> tuple[Array, Array, Array]:
    """Return the kernels of the chain's first two steps, [2, 2, 3, 12] and [2, 2, 12, 48], and both as one.

    That is [4, 4, 3, 48] (y, x, rgb), orthonormal over a cell of 4x4 pixels.
    """
    first, second = np.einsum("yxck,cr->yxrk", _haar(3), OPPONENT), _haar(12)
    return first, second, np.einsum("yxrk,YXkm->YyXxrm", first, second).reshape(4, 4, 3, 48)


def quadrants(images: npt.NDArray[np.float32]) -> Array:
    """Return the 8x8 quadrants of pictures in the coordinates in which a chain's third layer reads them.

    Args:
        images: float32 [N, H, W, 3] in [0, 1], sides multiples of 8.

    Returns:
        float64 [quadrants, 192].
    """
    count, height, width, _ = images.shape
    cells = images.reshape(count, height // 8, 2, 4, width // 8, 2, 4, 3) - np.float64(0.5)
    split = np.einsum("nhaywAxr,yxrm->nhwaAm", cells, _halvings()[2], optimize=True)
    return np.asarray(split.reshape(-1, 192))


def start_branch(encoder: keras.Model, images: npt.NDArray[np.float32]) -> None:
    """Scale the freshly initialised branch to read the chain whitened and to write nothing yet."""
    # Without whitening the mean brightness of a cell, ten times its details, decides alone what the branch sees.
    for name, reader in (("chain4", "branch4"), ("chain8", "squeeze8")):
        probe = keras.Model(encoder.input, encoder.get_layer(name).output)
        seen = np.concatenate([np.asarray(probe(images[i : i + 8])) for i in range(0, len(images), 8)])
        enter = encoder.get_layer(reader)
        enter.kernel.assign(np.asarray(enter.kernel) / np.maximum(seen.std(axis=(0, 1, 2)), 1e-4)[:, None])
    # The branch starts silent: a small random output is noise to be got rid of.
    leave = encoder.get_layer("branch16")
    leave.kernel.assign(np.zeros(leave.kernel.shape, np.float32))


def start_decoder(decoder: keras.Model, forward: Array, deviation: npt.NDArray[np.float32]) -> None:
    """Set the decoder's linear path to the pseudo-inverse of the encoder's and its input normalisation.

    Args:
        forward: float64 [C, 768] from `start_encoder`.
        deviation: float32 [C], standard deviation of each latent channel on training pictures.
    """
    inverse = np.linalg.pinv(forward)  # [768, C]
    layer = decoder.get_layer("inverse")
    layer.kernel.assign(inverse.T.reshape(1, 1, -1, 768).astype(np.float32))
    layer.bias.assign(np.full(768, 0.5, np.float32))
    decoder.get_layer("latent_norm").scale.assign((1.0 / np.maximum(deviation, 1e-4)).astype(np.float32))
