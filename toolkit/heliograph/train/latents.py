"""Training data of the decoders: photographs through the frozen int8 encoder, as crops of latents and pixels."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import levels
from heliograph.codec.codec import open_coder
from heliograph.codec.coder import Coder
from heliograph.codec.distortion import STRENGTH
from heliograph.codec.numpy_coder import ROUND_UNIT
from heliograph.codec.tiles import STRIDE
from heliograph.codec.values import UNIT, Values
from heliograph.device.encoder import LatentEncoder
from heliograph.train.data import Batch, Crops, Supply
from heliograph.train.run import File, Run
from heliograph.train.stage3_freeze import frozen_encoder

CROP = 192  # pixels on a side of a decoder's training crop
REUSE = 24  # crops taken from one encoding of a picture, on average, before it is flipped and scaled anew


class LatentCrops(Supply):
    """Batches of what the server's decoder sees and should show.

    Each item is ({"values": float32 [B, n, n, C], "image": uint8 [B, 16n, 16n, 3], "quality": float32 [B, 1]},
    zeros [B]); `values` are those of latents in [-1, 1], as streams leave them, RDOQ included. Whole pictures are
    encoded in the device's tiles and cropped afterwards, so that tile borders occur where they will in use.
    """

    def __init__(
        self,
        photos: Crops,
        encoder: LatentEncoder,
        coder: Coder,
        *,
        size: int,
        workers: int = 2,
    ) -> None:
        super().__init__(steps=photos.steps, seed=photos.seed, workers=workers)
        self.photos, self.encoder, self.size = photos, encoder, size
        self.coder = coder
        self._kept: dict[int, tuple[npt.NDArray[np.uint8], Values, int]] = {}
        self._lock = threading.Lock()  # the TFLite interpreter holds one state

    def _encoded(self, index: int, step: int) -> tuple[npt.NDArray[np.uint8], Values]:
        """A picture and its latents; how it is flipped and scaled depends on the step alone, not on threads."""
        rounds = REUSE * len(self.photos.files) / self.photos.batch  # steps that an encoding lasts on average
        generation = int(step / rounds + index / len(self.photos.files))
        with self._lock:
            entry = self._kept.get(index)
            if entry is None or entry[2] != generation:
                rng = np.random.default_rng((self.photos.seed, index, generation))
                picture = self.photos.whole(index, rng, least=self.size)
                entry = self._kept[index] = (picture, self.encoder.latents(picture), generation)
        return entry[0], entry[1]

    def crop(
        self, rng: np.random.Generator, level: int, step: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """Return one crop: latents as a stream leaves them, float32 [n, n, C], and its pixels uint8 [16n, 16n, 3]."""
        picture, latents = self._encoded(self.photos.draw(rng), step)
        n = self.size // STRIDE
        rows, columns = picture.shape[0] // STRIDE, picture.shape[1] // STRIDE
        places = [(int(rng.integers(rows - n + 1)), int(rng.integers(columns - n + 1))) for _ in range(2)]
        y, x = self.photos.prefer(
            rng, [(p, picture[p[0] * STRIDE :, p[1] * STRIDE :][: self.size, : self.size]) for p in places]
        )
        part = np.ascontiguousarray(latents[y : y + n, x : x + n])
        coded = self.coder.encode(
            part, level, rounding=ROUND_UNIT // 2, strength=STRENGTH, only_estimate=True
        )
        values = self.coder.model.restore_order(coded.values)
        pixels = picture[y * STRIDE : y * STRIDE + self.size, x * STRIDE : x * STRIDE + self.size]
        return values.astype(np.float32) / np.float32(128 * UNIT), pixels

    def __getitem__(self, index: int) -> Batch:
        rng = self.generator(index)
        batch = self.photos.batch
        picks = rng.integers(levels.LEVEL_0, levels.LEVELS, batch)
        # Some below quality 0, which serve budgets of a few hundred bytes; decoders are told quality 0.
        picks = np.where(rng.random(batch) < 0.1, rng.integers(0, levels.LEVEL_0, batch), picks)
        crops = [self.crop(rng, int(level), self.offset + index) for level in picks]
        quality = np.array([[max(0.0, levels.to_quality(int(level)))] for level in picks])
        inputs: dict[str, npt.NDArray[Any]] = {
            "values": np.stack([c[0] for c in crops]),
            "image": np.stack([c[1] for c in crops]),
            "quality": (quality / (levels.QUALITIES - 1)).astype(np.float32),
        }
        return inputs, np.zeros(batch, np.float32)


def latent_crops(run: Run, supply: str) -> LatentCrops:
    """Return the crops that a run's decoders learn on, drawn for a key of SUPPLIES."""
    coder = open_coder(run.need(File.ENTROPY).read_bytes())
    photos = run.crops(supply, batch=max(1, run.batch // 2), size=CROP)
    return LatentCrops(photos, frozen_encoder(run), coder, size=CROP)
