"""Training pictures: any folder of pictures as an endless, seeded, balanced supply of crops."""

from __future__ import annotations

import csv
import threading
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.errors import TrainingError
from heliograph.pictures import load_srgb

SUFFIXES = {".avif", ".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def list_pictures(folder: Path) -> list[Path]:
    """Return all picture files below a folder, sorted; TrainingError if there is none."""
    if not folder.is_dir():
        raise TrainingError(f"photo folder {folder} does not exist: give --photos a folder of pictures")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise TrainingError(
            f"no pictures in {folder}: expected files ending in {', '.join(sorted(SUFFIXES))}; "
            "give --photos another folder"
        )
    return found


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


class Crops(keras.utils.PyDataset):  # type: ignore[misc]
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
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=16)
        self.files = list_pictures(folder)
        self.weights = _weights(folder, self.files)
        self.batch, self.size, self.steps, self.seed = batch, size, steps, seed
        self.offset = 0  # steps already done, so that a resumed run sees new crops
        self._cache: dict[int, npt.NDArray[np.uint8]] = {}
        self._room = cache_bytes
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.steps

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """Return a whole training picture, uint8 [H, W, 3], from the cache or the disk."""
        found = self._cache.get(index)
        if found is None:
            found = load_srgb(self.files[index])
            with self._lock:
                if self._room >= found.nbytes and index not in self._cache:
                    self._cache[index] = found
                    self._room -= found.nbytes
        return found

    def crop(self, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Return one random crop uint8 [size, size, 3]: random scale, place and flips, detail preferred."""
        picture = self.picture(int(rng.choice(len(self.files), p=self.weights)))
        height, width = picture.shape[:2]
        largest = min(height, width) / self.size
        scale = 1.0
        if largest < 1:
            scale = largest
        elif rng.random() < 0.5:
            scale = float(rng.uniform(1.0, min(2.0, largest)))
        side = min(round(self.size * scale), height, width)
        # Two places; the more detailed one in three of four cases, so that skies do not dominate.
        places = [
            (int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))) for _ in range(2)
        ]
        cuts = [picture[y : y + side, x : x + side] for y, x in places]
        detail = [float(np.abs(np.diff(c[::2, ::2, 1].astype(np.int16), axis=1)).mean()) for c in cuts]
        best = int(np.argmax(detail)) if rng.random() < 0.75 else int(np.argmin(detail))
        cut = cuts[best]
        if side != self.size:
            shape = (self.size, self.size)
            cut = np.asarray(Image.fromarray(cut).resize(shape, Image.Resampling.BICUBIC, reducing_gap=None))
        if rng.random() < 0.5:
            cut = cut[:, ::-1]
        if rng.random() < 0.5:
            cut = cut.transpose(1, 0, 2)
        return np.ascontiguousarray(cut)

    def __getitem__(self, index: int) -> tuple[dict[str, npt.NDArray[np.generic]], npt.NDArray[np.float32]]:
        rng = np.random.default_rng((self.seed, self.offset + index))
        images = np.stack([self.crop(rng) for _ in range(self.batch)])
        quality = rng.random((self.batch, 1), dtype=np.float32)
        return {"image": images, "quality": quality}, np.zeros(self.batch, np.float32)
