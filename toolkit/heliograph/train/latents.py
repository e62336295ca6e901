"""Training data of the decoders: photographs through the frozen int8 encoder, as crops of latents and pixels."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import rate
from heliograph.codec.tiles import STRIDE
from heliograph.device.encoder import LatentEncoder
from heliograph.train.data import Batch, Crops, Supply

REUSE = 24  # crops taken from one encoding of a picture before it is flipped, scaled and encoded anew


class LatentCrops(Supply):
    """Batches of what the server's decoder sees and should show.

    Each item is ({"values": float32 [B, n, n, C], "image": uint8 [B, 16n, 16n, 3], "quality": float32 [B, 1]},
    zeros [B]); `values` are dequantised latents in [-1, 1]. Whole pictures are encoded in the device's tiles and
    cropped afterwards, so that tile borders occur where they will in use.
    """

    def __init__(
        self,
        photos: Crops,
        encoder: LatentEncoder,
        steps: npt.NDArray[np.uint16],
        rounding: npt.NDArray[np.uint8],
        *,
        size: int,
        workers: int = 2,
    ) -> None:
        super().__init__(steps=photos.steps, seed=photos.seed, workers=workers)
        self.photos, self.encoder, self.size = photos, encoder, size
        self.table, self.rounding = steps, rounding
        self._kept: dict[int, tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8], int]] = {}
        self._lock = threading.Lock()  # the TFLite interpreter holds one state

    def _encoded(
        self, index: int, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8]]:
        picture, latents, left = self._kept.get(index, (None, None, 0))
        if picture is None or latents is None or left <= 0:
            picture = self.photos.whole(index, rng, least=self.size)
            with self._lock:
                latents = self.encoder.latents(picture)
            left = REUSE
        self._kept[index] = (picture, latents, left - 1)
        return picture, latents

    def crop(
        self, rng: np.random.Generator, quality: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """Return one crop: dequantised latents float32 [n, n, C] and its pixels uint8 [16n, 16n, 3]."""
        picture, latents = self._encoded(self.photos.draw(rng), rng)
        n = self.size // STRIDE
        rows, columns = picture.shape[0] // STRIDE, picture.shape[1] // STRIDE
        places = [(int(rng.integers(rows - n + 1)), int(rng.integers(columns - n + 1))) for _ in range(2)]
        y, x = self.photos.prefer(
            rng, [(p, picture[p[0] * STRIDE :, p[1] * STRIDE :][: self.size, : self.size]) for p in places]
        )
        part = latents[y : y + n, x : x + n]
        symbols = rate.quantise(part, self.table[quality], int(self.rounding[quality]))
        values = rate.dequantise(symbols, self.table[quality])
        pixels = picture[y * STRIDE : y * STRIDE + self.size, x * STRIDE : x * STRIDE + self.size]
        return values.astype(np.float32) / np.float32(128 * rate.STEP_UNIT), pixels

    def __getitem__(self, index: int) -> Batch:
        rng = self.generator(index)
        batch = self.photos.batch
        quality = rng.integers(rate.QUALITIES, size=batch)
        crops = [self.crop(rng, int(q)) for q in quality]
        inputs: dict[str, npt.NDArray[Any]] = {
            "values": np.stack([c[0] for c in crops]),
            "image": np.stack([c[1] for c in crops]),
            "quality": (quality[:, None] / (rate.QUALITIES - 1)).astype(np.float32),
        }
        return inputs, np.zeros(batch, np.float32)
