"""Whether a picture shows something else than an earlier one, in spite of the sensor's noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heliograph.device.cameras.camera import Picture

BLOCK = 32  # pixels on a side
THRESHOLD = 3.0  # grey values of 255


class ChangeDetector:
    """Compares pictures with the last one that was kept, by the means of their blocks.

    The measure is the largest difference, in grey values of 0 to 255, between the means of the same block of
    32x32 pixels and the same colour in both pictures. A mean over 1,024 pixels has 1/32 of a pixel's noise: at
    a standard deviation of 10, a dark night's, the measure of two pictures of one scene of 2 megapixels is
    about 2. A change of 50 over 8x8 pixels within a block makes it 3.1. A change of the light is a change; a
    slow one is found too, for the comparison is with the last picture kept, not with the last seen.

    Args:
        threshold: a picture is equal to the last if the measure is below it.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._kept: npt.NDArray[np.float32] | None = None
        self._seen: npt.NDArray[np.float32] | None = None

    def is_new(self, picture: Picture) -> bool:
        """Return whether a picture differs from the last kept; there is none at first."""
        self._seen = block_means(picture)
        return self._kept is None or difference(self._kept, self._seen) >= self._threshold

    def keep(self) -> None:
        """Make the picture asked about last the one that the next are compared with."""
        self._kept = self._seen


def block_means(picture: Picture) -> npt.NDArray[np.float32]:
    """Return the means float32 [ceil(H/32), ceil(W/32), 3] of a picture's blocks, smaller at right and bottom."""
    height, width = picture.shape[:2]
    rows, columns = np.arange(0, height, BLOCK), np.arange(0, width, BLOCK)
    # Row of blocks by row of blocks: all at once would take a copy of the picture in four times its bytes.
    sums = np.stack([picture[y : y + BLOCK].sum(axis=0, dtype=np.uint32) for y in rows])  # [blocks, W, 3]
    sums = np.add.reduceat(sums, columns, axis=1)
    counts = np.outer(np.diff(rows, append=height), np.diff(columns, append=width))
    return np.asarray(sums / counts[..., None], np.float32)


def difference(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """Return the largest difference of two pictures' block means; infinite for pictures of other sizes."""
    return float(np.abs(a - b).max()) if a.shape == b.shape else float("inf")
