"""What the eye sees of an error, as a loss: luminance first, colour by areas, and structure at several scales.

Squared error over RGB spends bits on chroma and noise that nobody sees. The parts here are differentiable and run on
any Keras 3 backend, in float32.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from keras import ops

from heliograph.train.tensors import Tensor, compiled

# Y, Cb, Cr of JPEG (ITU-T T.871), of R, G, B in [0, 1].
YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
CHROMA = 0.2  # share of the squared error of Cb and of Cr, pixel by pixel
AREAS = {8: (0.0, 0.7), 32: (3.0, 3.0)}  # side of an area: shares of its mean's luminance and chroma
SQUARED = 1.25 * 255.0**2
STRUCTURE = 400.0  # of what is lost of structure, 1 - MS-SSIM
SEEN = 2.0  # of SSIMULACRA2's error before its last power, 0 for equal pictures, 9 for a score of 60

SCALE_POWERS = (0.1, 0.2, 0.35, 0.35)  # MS-SSIM over crops: four scales
_SSIM_WINDOW, _SSIM_SIGMA = 9, 1.5

# SSIMULACRA2 (Sneyers 2022; constants of libjxl, BSD-3-Clause): the weights that matter, as
# (channel of X Y B, scale, norm: 0 mean or 1 fourth, map: 0 SSIM, 1 artefact, 2 lost detail) -> weight.
_OPSIN = np.array(
    [
        [0.30, 0.622, 0.078],
        [0.23, 0.692, 0.078],
        [0.24342268924547819, 0.20476744424496821, 0.5518098665095536],
    ],
    np.float32,
)
_OPSIN_BIAS = 0.0037930732552754493
_C2 = 0.0009
_SEEN_SIGMA = 1.5
_LINEAR = 0.9562382616834844
_POLYNOMIAL = (2.326765642916932, -0.020884521182843837, 6.248496625763138e-05)
_SEEN_WEIGHTS: dict[tuple[int, int, int, int], float] = {
    (0, 1, 1, 0): 1.10417,
    (0, 2, 1, 0): 1.84225,
    (0, 2, 1, 1): 11.4412,
    (0, 3, 1, 0): 1.87876,
    (0, 3, 1, 1): 10.9491,
    (0, 4, 0, 1): 0.967794,
    (0, 4, 1, 1): 0.998177,
    (1, 0, 1, 0): 7.46689,
    (1, 0, 1, 2): 17.4458,
    (1, 1, 1, 0): 6.68368,
    (1, 1, 1, 2): 1.02789,
    (1, 2, 0, 0): 225.205,
    (1, 2, 1, 0): 19.2132,
    (1, 3, 0, 0): 176.393,
    (1, 3, 1, 0): 24.433,
    (1, 3, 1, 1): 0.285208,
    (1, 4, 1, 0): 34.7791,
    (1, 4, 1, 1): 44.8356,
    (2, 3, 1, 0): 8.82698,
    (2, 3, 1, 1): 23.1924,
    (2, 4, 0, 0): 95.108,
    (2, 4, 0, 1): 0.986398,
    (2, 4, 0, 2): 0.983438,
    (2, 4, 1, 1): 171.267,
    (2, 4, 1, 2): 0.980786,
}


@functools.cache
def _band(size: int, window: int, sigma: float, valid: bool) -> npt.NDArray[np.float32]:
    """Return the matrix that blurs a row of `size` values, float32 [size, size or size - window + 1]."""
    x = np.arange(window) - (window - 1) / 2
    g = np.exp(-0.5 * (x / sigma) ** 2)
    g /= g.sum()
    outputs = size - window + 1 if valid else size
    first = 0 if valid else -(window // 2)
    matrix = np.zeros((size, outputs), np.float32)
    for out in range(outputs):
        for tap in range(window):
            if 0 <= out + first + tap < size:
                matrix[out + first + tap, out] = g[tap]
    return matrix


def _blur(x: Tensor, window: int, sigma: float, *, valid: bool) -> Tensor:
    """Blur float [B, C, H, W]; two matrix products are several times faster than depthwise convolutions."""
    height, width = int(x.shape[2]), int(x.shape[3])
    x = ops.matmul(x, _band(width, window, sigma, valid))
    return ops.matmul(np.ascontiguousarray(_band(height, window, sigma, valid).T), x)


def _halve(x: Tensor) -> Tensor:
    """Halve float [B, C, H, W] by means of 2x2."""
    _, c, h, w = x.shape
    return ops.mean(
        ops.reshape(x[:, :, : h // 2 * 2, : w // 2 * 2], (-1, c, h // 2, 2, w // 2, 2)), axis=(3, 5)
    )


def squared(error: Tensor) -> Tensor:
    """Return the weighted squared error float [B] of errors in YCbCr, float [B, H, W, 3], sides multiples of 32."""
    mean = ops.mean(ops.square(error), axis=(1, 2))  # [B, 3]
    total = mean[:, 0] + CHROMA * (mean[:, 1] + mean[:, 2])
    for side, (luminance, chroma) in AREAS.items():
        area = ops.average_pool(error, side, side, padding="valid", data_format="channels_last")
        mean = ops.mean(ops.square(area), axis=(1, 2))
        total = total + luminance * mean[:, 0] + chroma * (mean[:, 1] + mean[:, 2])
    return total


def structure_lost(a: Tensor, b: Tensor) -> Tensor:
    """Return 1 - MS-SSIM to first order, float [B], of luminances in [0, 1], float [B, 1, H, W].

    Wang et al. 2003 multiply powers of each scale's mean contrast and structure; where a scale is near zero, as in dark
    noise, a power's slope has no bound and such crops ruled the training. The sum of what each lacks has the same slope
    at equal pictures.
    """
    lost = 0.0
    for scale, power in enumerate(SCALE_POWERS):
        stacked = ops.concatenate([a, b, ops.square(a) + ops.square(b), a * b], axis=1)  # [B, 4, H, W]
        moments = _blur(stacked, _SSIM_WINDOW, _SSIM_SIGMA, valid=True)
        ma, mb, both, across = (moments[:, i] for i in range(4))
        c1, c2 = 0.01**2, 0.03**2
        contrast = (2 * (across - ma * mb) + c2) / (both - ma * ma - mb * mb + c2)
        if scale == len(SCALE_POWERS) - 1:
            contrast = contrast * (2 * ma * mb + c1) / (ma * ma + mb * mb + c1)
        lost = lost + power * (1.0 - ops.mean(contrast, axis=(1, 2)))
        if scale < len(SCALE_POWERS) - 1:
            a, b = _halve(a), _halve(b)
    return lost


def _linear(x: Tensor) -> Tensor:
    """Return linear light of sRGB values in [0, 1]."""
    above = ops.power((ops.maximum(x, 0.04045) + 0.055) / 1.055, 2.4)
    return ops.where(x <= 0.04045, x / 12.92, above)


def _xyb(linear: Tensor) -> Tensor:
    """Return SSIMULACRA2's positive X, Y, B of linear light, float [B, 3, H, W]."""
    r, g, b = linear[:, 0], linear[:, 1], linear[:, 2]
    mixed = ops.stack([m[0] * r + m[1] * g + m[2] * b for m in _OPSIN.tolist()], axis=1) + _OPSIN_BIAS
    root = ops.exp(ops.log(ops.maximum(mixed, 1e-5)) / 3.0) - _OPSIN_BIAS ** (1 / 3)
    x, y = 0.5 * (root[:, 0] - root[:, 1]), 0.5 * (root[:, 0] + root[:, 1])
    return ops.stack([14.0 * x + 0.42, y + 0.01, root[:, 2] - y + 0.55], axis=1)


def _norms(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and fourth norm, float [B, C], of maps float [B, C, H, W] that are at least 0."""
    fourth = ops.mean(ops.square(ops.square(x)), axis=(2, 3))
    return ops.mean(x, axis=(2, 3)), ops.power(fourth + 1e-20, 0.25)


def seen_error(a: Tensor, b: Tensor) -> Tensor:
    """Return SSIMULACRA2's error float [B] of b against a, sRGB in [0, 1], float [B, 3, H, W].

    A score is 100 - 10 error^0.6276. Scales below 8 pixels are left out, as the metric does.
    """
    first, second = _linear(a), _linear(b)
    total = 0.0
    for scale in range(6):
        if min(int(first.shape[2]), int(first.shape[3])) < 8:
            break
        x, y = _xyb(first), _xyb(second)
        stacked = ops.concatenate([x, y, ops.square(x) + ops.square(y), x * y], axis=1)  # [B, 12, H, W]
        moments = _blur(stacked, 11, _SEEN_SIGMA, valid=False)
        mx, my, both, across = (moments[:, 3 * i : 3 * i + 3] for i in range(4))
        numerator = (1.0 - ops.square(mx - my)) * (2.0 * (across - mx * my) + _C2)
        ssim = ops.maximum(1.0 - numerator / (both - mx * mx - my * my + _C2), 0.0)
        edges = (1.0 + ops.abs(y - my)) / (1.0 + ops.abs(x - mx)) - 1.0
        maps = [_norms(m) for m in (ssim, ops.maximum(edges, 0.0), ops.maximum(-edges, 0.0))]
        for (channel, at, norm, kind), weight in _SEEN_WEIGHTS.items():
            if at == scale:
                total = total + weight * maps[kind][norm][:, channel]
        first, second = _halve(first), _halve(second)
    s = _LINEAR * total
    p, q, r = _POLYNOMIAL
    return p * s + q * s * s + r * s * s * s


def distortion(picture: Tensor, image: Tensor) -> Tensor:
    """Return what is lost to the eye, float [B], in units near those of squared error of 8-bit values.

    Both float [B, H, W, 3], sRGB in [0, 1], sides multiples of 32, at least 96; `picture` may go beyond.
    """
    error = ops.tensordot(picture - image, YCBCR.T, axes=1)
    shown, whole = (ops.transpose(x, (0, 3, 1, 2)) for x in (ops.clip(picture, 0.0, 1.0), image))
    y, z = (ops.sum(x * YCBCR[0][:, None, None], axis=1, keepdims=True) for x in (whole, shown))
    # The dearest part on every second crop, at twice the weight: the same on average.
    some = 2.0 * _seen_compiled(whole[::2], shown[::2])
    seen = ops.reshape(ops.stack([some, ops.zeros_like(some)], axis=1), (-1,))[: ops.shape(whole)[0]]
    return SQUARED * squared(error) + STRUCTURE * structure_lost(z, y) + SEEN * seen


_seen_compiled = compiled(seen_error)
