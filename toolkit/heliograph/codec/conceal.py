"""Concealment: what a lost slice may have looked like, from the values around it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heliograph.codec.values import Values


def fill(values: Values, lost: npt.NDArray[np.bool_]) -> Values:
    """Return values int16 [h, w, C] with the lost positions bool [h, w] filled.

    Each becomes the mean of the nearest known ones left, right, above and below, weighted by 1 / distance;
    rows and columns without any are filled from those. Only channels that vary slowly gain from it.
    """
    if lost.all():
        return values.copy()
    known, filling = ~lost, values.astype(np.float64)
    for _ in range(2):
        total, weight = np.zeros_like(filling), np.zeros(lost.shape)
        for axis in (0, 1):
            for backwards in (False, True):
                near, distance = _nearest(filling, known, axis, backwards=backwards)
                w = np.where(distance > 0, 1.0 / np.maximum(distance, 1), 0.0)
                total += near * w[..., None]
                weight += w
        filled = ~known & (weight > 0)
        filling[filled] = total[filled] / weight[filled][:, None]
        known |= filled
    return np.rint(filling).astype(np.int16)


def _nearest(
    values: npt.NDArray[np.float64], known: npt.NDArray[np.bool_], axis: int, *, backwards: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the last known value before each position along an axis, and its distance (0: none)."""
    if axis == 0:
        near, distance = _nearest(values.swapaxes(0, 1), known.T, 1, backwards=backwards)
        return near.swapaxes(0, 1), distance.T
    if backwards:
        near, distance = _nearest(values[:, ::-1], known[:, ::-1], 1, backwards=False)
        return near[:, ::-1], distance[:, ::-1]
    place = np.arange(known.shape[1])[None, :]
    last = np.maximum.accumulate(np.where(known, place, -1), axis=1)
    near = np.take_along_axis(values, np.maximum(last, 0)[..., None], axis=1)
    return near, np.where(last >= 0, place - last, 0)
