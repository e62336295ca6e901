"""Colours by a curve for each channel and a matrix: what most ICC profiles and all gAMA and cHRM chunks say."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_BAND = 1 << 18  # pixels at once: floats of a whole photograph would take gigabytes
_GAMMAS = 0.05, 20.0  # beyond these a file has no gamma, but a mistake
_SRGB_IN_D50 = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
_SRGB_AT = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # x, y of white, red, green, blue
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
Matrix = npt.NDArray[np.float64]


def _srgb_to_linear(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(x <= 0.04045, x / 12.92, ((np.maximum(x, 0) + 0.055) / 1.055) ** 2.4)


def _linear_to_srgb(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 0) ** (1 / 2.4) - 0.055)


_SCALE = np.arange(65_536) / 65_535
_TO_LEVEL = np.round(255 * _linear_to_srgb(_SCALE)).astype(np.uint8)


@dataclass(frozen=True)
class Curves:
    """A colour space.

    Attributes:
        linear: float32 [3, 65536], the light of each sample of each channel.
        matrix: float32 [3, 3], from that light to that of sRGB's red, green and blue.
    """

    linear: npt.NDArray[np.float32]
    matrix: npt.NDArray[np.float32]

    def __call__(self, samples: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return samples of 8 or 16 bits, unsigned [H, W, 3] or grey [H, W, 1], as uint8 [H, W, 3] sRGB."""
        height, width, count = samples.shape
        out = np.empty((height, width, 3), np.uint8)
        rows = max(1, _BAND // width)
        for y in range(0, height, rows):
            part = samples[y : y + rows]
            index = part if samples.dtype == np.uint16 else part.astype(np.uint16) * np.uint16(257)
            light = np.stack([self.linear[n][index[..., n % count]] for n in range(3)], axis=-1)
            light = light @ self.matrix.T
            out[y : y + rows] = _TO_LEVEL[np.clip(np.round(light * 65_535), 0, 65_535).astype(np.uint16)]
        return out


def of_chunks(info: Mapping[Any, Any]) -> Curves | None:
    """Return the colours that a PNG file's gAMA and cHRM chunks mean; None if it has none, or says that it is sRGB."""
    if "srgb" in info:
        return None
    gamma, at = info.get("gamma"), info.get("chromaticity")
    has_gamma = isinstance(gamma, float) and _GAMMAS[0] <= 1 / max(gamma, 1e-9) <= _GAMMAS[1]
    matrix = None if at is None else _to_srgb_light(at)
    if not has_gamma and matrix is None:
        return None
    linear = _SCALE ** (1 / float(gamma)) if has_gamma and gamma is not None else _srgb_to_linear(_SCALE)
    return _curves([linear] * 3, np.eye(3) if matrix is None else matrix)


def _curves(linear: list[npt.NDArray[np.float64]], matrix: Matrix) -> Curves:
    return Curves(np.stack(linear).astype(np.float32), matrix.astype(np.float32))


def _light(at: Any) -> Matrix:
    """Return the matrix from the light of three primaries to XYZ, of x and y of white, red, green and blue."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in zip(at[::2], at[1::2], strict=True)]).T  # [3, 4]
    primaries = xyz[:, 1:]
    return np.asarray(primaries * np.linalg.solve(primaries, xyz[:, 0]))


def _to_srgb_light(at: Any) -> Matrix | None:
    """Return the matrix from the light of a file's primaries to that of sRGB's; None if it has none that can be."""
    try:
        theirs, ours = _light(at), _light(_SRGB_AT)
        white, whiter = _BRADFORD @ theirs.sum(axis=1), _BRADFORD @ ours.sum(axis=1)
        adapted = np.linalg.inv(_BRADFORD) @ np.diag(whiter / white) @ _BRADFORD @ theirs
        matrix = np.linalg.inv(ours) @ adapted
    except (ArithmeticError, ValueError, TypeError, np.linalg.LinAlgError):
        return None
    return matrix if np.isfinite(matrix).all() else None


def of_profile(icc: bytes) -> Curves | None:
    """Return what an ICC profile of curves and a matrix, or of one curve for greys, means; None of another."""
    try:
        tags = _tags(icc)
        if any(name.startswith((b"A2B", b"D2B")) for name in tags):
            return None
        if icc[16:20] == b"GRAY":
            return _curves([_curve(tags[b"kTRC"])] * 3, np.eye(3))
        columns = [_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        linear = [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
        return _curves(linear, np.linalg.inv(_SRGB_IN_D50) @ np.array(columns).T)
    except (struct.error, KeyError, ValueError, IndexError):
        return None


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    entries = (struct.unpack_from(">4sII", icc, 132 + 12 * n) for n in range(min(count, 100)))
    return {name: icc[at : at + size] for name, at, size in entries}


def _xyz(tag: bytes) -> list[float]:
    return [n / 65_536 for n in struct.unpack_from(">3i", tag, 8)]


def _curve(tag: bytes) -> npt.NDArray[np.float64]:
    """Return the light of 65536 samples; ValueError of a kind of curve that there is not."""
    kind = tag[:4]
    if kind == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return _SCALE
        values = np.array(struct.unpack_from(f">{count}H", tag, 12), np.float64)
        if count == 1:
            return np.asarray(_SCALE ** (values[0] / 256))
        return np.interp(_SCALE, np.linspace(0, 1, count), values / 65_535)
    if kind != b"para":
        raise ValueError(f"a curve is {kind!r}, expected curv or para")
    (form,) = struct.unpack_from(">H", tag, 8)
    count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}[form]
    g, a, b, c, d, e, f = ([n / 65_536 for n in struct.unpack_from(f">{count}i", tag, 12)] + [0.0] * 6)[:7]
    if form == 0:
        return np.asarray(_SCALE**g)
    # From where the power begins, what is added to it, and what is below: c x + f, or c alone (form 2) or 0 (form 1).
    start, above, below = {
        1: (-b / a if a else 0.0, 0.0, np.zeros_like(_SCALE)),
        2: (-b / a if a else 0.0, c, np.full_like(_SCALE, c)),
        3: (d, 0.0, c * _SCALE),
        4: (d, e, c * _SCALE + f),
    }[form]
    light = np.where(start <= _SCALE, np.maximum(a * _SCALE + b, 0) ** g + above, below)
    return np.asarray(np.clip(light, 0, 1))
