"""Picture quality: PSNR, luminance PSNR, MS-SSIM and SSIMULACRA2 of 8-bit pictures."""

from __future__ import annotations

import importlib
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.errors import RuntimeUnavailableError

Picture = npt.NDArray[np.uint8]

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli, Bovik 2003, section 3.2
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_TAPS = np.exp(-(np.arange(-5, 6, dtype=np.float32) ** 2) / np.float32(2 * 1.5**2))
_TAPS /= _TAPS.sum()
SSIMULACRA2_SIDE = 8  # below it the package has no scale to look at
MS_SSIM_SIDE = 176  # halved four times it is 11, the window of the coarsest scale


def _same(a: Picture, b: Picture) -> None:
    if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(
            f"expected two uint8 pictures of one shape, got {a.dtype} {a.shape} and {b.dtype} {b.shape}"
        )


def mse(a: Picture, b: Picture) -> float:
    """Return the mean squared error over all samples, in squared 8-bit units."""
    _same(a, b)
    return float(np.square(a.astype(np.float64) - b.astype(np.float64)).mean())


def _decibel(error: float) -> float:
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def psnr(a: Picture, b: Picture) -> float:
    """Return the peak signal-to-noise ratio over RGB in dB; infinite for equal pictures."""
    return _decibel(mse(a, b))


def psnr_y(a: Picture, b: Picture) -> float:
    """Return the PSNR of the BT.601 luminance in dB, pictures uint8 [H, W, 3]."""
    _same(a, b)
    luma = np.array([0.299, 0.587, 0.114])
    return _decibel(float(np.square((a.astype(np.float64) - b.astype(np.float64)) @ luma).mean()))


def _blur(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Gaussian mean where the window lies inside, [H, W, C] to [H-10, W-10, C]; sums of shifted arrays run
    several times faster than a general correlation and release the interpreter's lock."""
    for axis in (0, 1):
        length = x.shape[axis] - 10
        parts = [x[:, i : i + length] if axis else x[i : i + length] for i in range(11)]
        x = parts[5] * _TAPS[5]
        for i in range(5):
            x += (parts[i] + parts[10 - i]) * _TAPS[i]
    return x


def ms_ssim(a: Picture, b: Picture) -> float:
    """Return the multi-scale structural similarity, mean over RGB, in [0, 1]; NaN below 176 pixels a side.

    Wang, Simoncelli and Bovik 2003: five scales, 11-tap Gaussian window of deviation 1.5, 2x2 means between.
    """
    _same(a, b)
    if min(a.shape[:2]) < MS_SSIM_SIDE:
        return float("nan")
    # Centred, so that float32 keeps the variances of bright flat regions.
    x, y = a.astype(np.float32) - 128, b.astype(np.float32) - 128
    value = np.ones(3)
    for scale, weight in enumerate(_WEIGHTS):
        mx, my = _blur(x), _blur(y)
        vx, vy, cov = _blur(x * x) - mx * mx, _blur(y * y) - my * my, _blur(x * y) - mx * my
        contrast = (2 * cov + _C2) / (vx + vy + _C2)
        if scale == len(_WEIGHTS) - 1:
            mx, my = mx + 128, my + 128
            contrast = contrast * (2 * mx * my + _C1) / (mx * mx + my * my + _C1)
        value *= np.maximum(contrast.mean(axis=(0, 1)), 0.0) ** weight
        h, w = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
        x = x[:h, :w].reshape(h // 2, 2, w // 2, 2, 3).mean(axis=(1, 3))
        y = y[:h, :w].reshape(h // 2, 2, w // 2, 2, 3).mean(axis=(1, 3))
    return float(value.mean())


def ssimulacra2(a: Picture, b: Picture) -> float:
    """Return SSIMULACRA2 (Sneyers 2022) of `b` against the original `a`: 100 equal, 70 high quality, below 0 very poor.

    It is the `ssimulacra2` package's, a port of the reference to Python that takes about a second for half a
    megapixel.

    Raises:
        RuntimeUnavailableError: the package is not installed.
    """
    _same(a, b)
    try:
        compute = importlib.import_module("ssimulacra2").compute_ssimulacra2
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"SSIMULACRA2 is not installed ({error}): pip install ssimulacra2"
        ) from error
    files = []
    for picture in (a, b):  # the package takes files only
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "BMP")
        files.append(buffer)
    return float(compute(*files))
