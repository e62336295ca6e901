"""Training pictures: any folder of pictures as an endless, seeded, balanced supply of crops."""

from __future__ import annotations

import csv
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.pictures import list_pictures, load_srgb

Place = tuple[int, int]  # row and column
Batch = tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.float32]]  # inputs by name, and what Keras calls y


def _weights(folder: Path, files: list[Path]) -> npt.NDArray[np.float64]:
    """Weight pictures so that a source with many counts as the square root of its number."""
    index = folder / "index.csv"
    if not index.is_file():
        return np.full(len(files), 1 / len(files))
    with index.open(newline="", encoding="utf-8") as handle:
        source = {row["file"]: row.get("source", "") for row in csv.DictReader(handle) if "file" in row}
    names = [source.get(p.relative_to(folder).as_posix(), "") for p in files]
    count = Counter(names)
    weight = np.array([count[n] ** -0.5 for n in names])
    return np.asarray(weight / weight.sum())


def resized(picture: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return a picture uint8 [H, W, 3] at another size."""
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def flipped(picture: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return a picture uint8 [H, W, 3] mirrored in half of cases, and transposed in half of cases."""
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    if rng.random() < 0.5:
        picture = picture.transpose(1, 0, 2)
    return np.ascontiguousarray(picture)


class Supply(keras.utils.PyDataset):  # type: ignore[misc]
    """An endless supply of batches that depend on a seed and the step alone, in rounds of `steps`."""

    def __init__(self, *, steps: int, seed: int, workers: int = 2) -> None:
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=16)
        self.steps, self.seed = steps, seed
        self.offset = 0  # steps already done, so that a resumed run sees new crops

    def __len__(self) -> int:
        return self.steps

    def generator(self, index: int) -> np.random.Generator:
        """Return the random numbers of a batch of this round."""
        return np.random.default_rng((self.seed, self.offset + index))


class Crops(Supply):
    """Batches of random crops, the same for a seed whatever the threads do.

    Each item is ({"image": uint8 [B, size, size, 3], "quality": float32 [B, 1]}, zeros [B]).
    Decoded pictures are kept in memory up to `cache_bytes`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        batch: int,
        size: int,
        steps: int,
        seed: int,
        workers: int = 2,
        cache_bytes: int = 4 << 30,
    ) -> None:
        super().__init__(steps=steps, seed=seed, workers=workers)
        self.files = list_pictures(folder)
        self.weights = _weights(folder, self.files)
        self.batch, self.size = batch, size
        self._cache: dict[int, npt.NDArray[np.uint8]] = {}
        self._room = cache_bytes
        self._lock = threading.Lock()

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """Return a whole training picture, uint8 [H, W, 3], from the cache or the disk."""
        picture = self._cache.get(index)
        if picture is None:
            picture = load_srgb(self.files[index])
            with self._lock:
                if self._room >= picture.nbytes and index not in self._cache:
                    self._cache[index] = picture
                    self._room -= picture.nbytes
        return picture

    def draw(self, rng: np.random.Generator) -> int:
        """Return the index of a random picture, sources balanced."""
        return int(rng.choice(len(self.files), p=self.weights))

    @staticmethod
    def prefer(rng: np.random.Generator, places: list[tuple[Place, npt.NDArray[np.uint8]]]) -> Place:
        """Return the place whose pixels have more detail in three of four cases, so that skies do not dominate."""
        detail = [float(np.abs(np.diff(c[::2, ::2, 1].astype(np.int16), axis=1)).mean()) for _, c in places]
        return places[int(np.argmax(detail)) if rng.random() < 0.75 else int(np.argmin(detail))][0]

    def whole(self, index: int, rng: np.random.Generator, *, least: int) -> npt.NDArray[np.uint8]:
        """Return a whole picture, randomly flipped and scaled, no side below `least` pixels, uint8 [H, W, 3]."""
        picture = self.picture(index)
        short = min(picture.shape[:2])
        scale = max(least / short, float(rng.uniform(0.5, 1.0)) if rng.random() < 0.5 else 1.0)
        if scale != 1.0:
            height, width = (max(least, round(n * scale)) for n in picture.shape[:2])
            picture = resized(picture, width, height)
        return flipped(picture, rng)

    def crop(self, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Return one random crop uint8 [size, size, 3]: random scale, place and flips, detail preferred."""
        picture = self.picture(self.draw(rng))
        height, width = picture.shape[:2]
        largest = min(height, width) / self.size
        scale = 1.0
        if largest < 1:
            scale = largest
        elif rng.random() < 0.5:
            scale = float(rng.uniform(1.0, min(2.0, largest)))
        side = min(round(self.size * scale), height, width)
        places = [
            (int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))) for _ in range(2)
        ]
        y, x = self.prefer(rng, [((y, x), picture[y : y + side, x : x + side]) for y, x in places])
        cut = picture[y : y + side, x : x + side]
        return flipped(resized(cut, self.size, self.size) if side != self.size else cut, rng)

    def __getitem__(self, index: int) -> Batch:
        rng = self.generator(index)
        images = np.stack([self.crop(rng) for _ in range(self.batch)])
        quality = rng.random((self.batch, 1), dtype=np.float32)
        return {"image": images, "quality": quality}, np.zeros(self.batch, np.float32)
