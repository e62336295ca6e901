"""Rate–distortion from real files: rows of measurements, those of JPEG, WebP, JPEG 2000 and AVIF, and curves."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.measure import baselines, metrics
from heliograph.measure.baselines import BASELINES, JPEG_VARIANTS
from heliograph.measure.cache import Cache, picture_hash
from heliograph.measure.curves import Point, compare
from heliograph.measure.environment import version

EQUAL_DB = 100.0  # what equal pictures count as in dB, so that there are means
ANCHOR = "jpeg"
QUANTITIES = ("psnr", "psnr_y", "ms_ssim", "ssimulacra2")
Picture = npt.NDArray[np.uint8]
Row = dict[str, float | None]
Rows = dict[int, list[Row]]  # by quality, one row a picture
Advance = Callable[[], object]


@contextmanager
def workers(jobs: int) -> Iterator[Executor]:
    """Yield a pool of processes; with one job a thread, which works while the main one decodes."""
    if jobs == 1:
        with ThreadPoolExecutor(1) as pool:
            yield pool
        return
    # Spawned: a forked child would inherit TensorFlow's threads as locks that nobody opens.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as processes:
        yield processes


def measure(picture: Picture, size: int, shown: Picture, perceptual: bool = False) -> Row:
    """Return bytes, bits per pixel, PSNR over RGB, PSNR of luminance, MS-SSIM and SSIMULACRA2 of one file.

    Equal pictures count as 100 dB; MS-SSIM is None below 176 pixels a side, SSIMULACRA2 unless `perceptual`.
    """
    similarity = metrics.ms_ssim(picture, shown)
    is_large = min(picture.shape[:2]) >= metrics.SSIMULACRA2_SIDE
    return {
        "bytes": size,
        "bpp": 8 * size / (picture.shape[0] * picture.shape[1]),
        "psnr": min(EQUAL_DB, metrics.psnr(picture, shown)),
        "psnr_y": min(EQUAL_DB, metrics.psnr_y(picture, shown)),
        "ms_ssim": None if math.isnan(similarity) else similarity,
        "ssimulacra2": metrics.ssimulacra2(picture, shown) if perceptual and is_large else None,
    }


def measure_baseline(name: str, picture: Picture, quality: int, perceptual: bool = False) -> Row:
    """Encode, decode and measure a picture with a baseline; of JPEG also the bytes of its variants."""
    began = time.perf_counter()
    data = baselines.encode(name, picture, quality)
    seconds = time.perf_counter() - began
    row = measure(picture, len(data), baselines.decode(data), perceptual) | {"encode_s": seconds}
    if name == "jpeg":
        row["default_bytes"] = len(baselines.encode_default_jpeg(picture, quality))
        row["table_bytes"] = baselines.jpeg_table_bytes(data)
    return row


class BaselineError(Exception):
    """Another codec failed on a picture: its curve cannot be drawn, and all others can."""


class Gathered:
    """Rows in the order asked for, kept in the cache as they come, so that an interrupted run loses little."""

    def __init__(self, qualities: Sequence[int], cache: Cache, advance: Advance) -> None:
        self.rows: Rows = {q: [] for q in qualities}
        self._cache, self._advance = cache, advance
        self._pending: deque[tuple[int, str, Future[Row]]] = deque()

    def known(self, quality: int, row: Row) -> None:
        """Add a row that need not be measured."""
        done: Future[Row] = Future()
        done.set_result(row)
        self._pending.append((quality, "", done))
        self.take()

    def measured(self, quality: int, key: str, row: Future[Row]) -> None:
        """Add a row that is being measured."""
        self._pending.append((quality, key, row))
        self.take()

    def take(self, *, wait: bool = False) -> None:
        """Take what is done from the front, or with `wait` everything."""
        while self._pending and (wait or self._pending[0][2].done()):
            quality, key, future = self._pending.popleft()
            try:
                row = future.result()
            except Exception as error:  # whatever a library makes of a picture
                raise BaselineError(f"at {quality}: {type(error).__name__}: {error}") from error
            if key:
                self._cache.put(key, row)
            self.rows[quality].append(row)
            self._advance()


def perceptual_fact(wished: bool) -> str | bool | None:
    """What SSIMULACRA2 values depend on, for the cache."""
    return version("ssimulacra2") if wished else False


def baseline_rows(
    name: str,
    pictures: Sequence[Picture],
    *,
    pool: Executor | None = None,
    cache: Cache | None = None,
    advance: Advance = lambda: None,
    perceptual: bool = False,
) -> Rows:
    """Encode and decode pictures with a baseline at its list of qualities; one row a picture.

    Raises:
        BaselineError: it failed on one of them.
    """
    if pool is None:
        with ThreadPoolExecutor(2) as threads:  # Pillow's codecs release the interpreter's lock
            return baseline_rows(name, pictures, pool=threads, cache=cache, advance=advance)
    cache = cache or Cache(None)
    baseline = BASELINES[name]
    facts = {
        "options": baseline.options,
        "library": baseline.version,
        "perceptual": perceptual_fact(perceptual),
    }
    gathered = Gathered(baseline.qualities, cache, advance)
    for picture in pictures:
        digest = picture_hash(picture)
        for quality in baseline.qualities:
            key = cache.key("baseline", {**facts, "picture": digest, "setting": baseline.at(quality)})
            row = cache.get(key)
            if row is not None:
                gathered.known(quality, row)
                continue
            task = pool.submit(measure_baseline, name, picture, quality, perceptual)
            gathered.measured(quality, key, task)
    gathered.take(wait=True)
    return gathered.rows


def jpeg_variants(rows: Rows) -> dict[str, Rows]:
    """Return the rows of JPEG's variants: the same pixels in other bytes."""

    def resized(row: Row, size: float) -> Row:
        old, bpp = float(row["bytes"] or 0), float(row["bpp"] or 0)
        return row | {"bytes": size, "bpp": bpp * size / old}

    default: Rows = {}
    once: Rows = {}
    for quality, of in rows.items():
        default[quality] = [resized(r, float(r["default_bytes"] or 0)) for r in of]
        shared = float(np.mean([r["table_bytes"] or 0 for r in of])) / len(of)
        once[quality] = [
            resized(r, float(r["bytes"] or 0) - float(r["table_bytes"] or 0) + shared) for r in of
        ]
    return dict(zip(JPEG_VARIANTS, (default, once), strict=True))


def means(rows: Rows) -> dict[int, Row]:
    """Return the means over pictures at each quality; of what some pictures lack, over the others."""
    out: dict[int, Row] = {}
    for quality, of in rows.items():
        out[quality] = {}
        for name in of[0] if of else ():
            known = [value for r in of if (value := r[name]) is not None]
            out[quality][name] = float(np.mean(known)) if known else None
    return out


def curve(mean: dict[int, Row], quantity: str = "psnr") -> list[Point]:
    """Return a curve for `curves.bd_rate`; MS-SSIM in dB, -10 log10(1 - MS-SSIM)."""
    points = []
    for row in mean.values():
        value, bpp = row.get(quantity), row["bpp"]
        if value is None or bpp is None:
            continue
        if quantity == "ms_ssim":
            value = -10 * math.log10(max(1 - value, 1e-10))
        points.append(Point(bpp, value))
    return points


def differences(series: dict[str, Rows], anchor: str = ANCHOR) -> dict[str, dict[str, Any]]:
    """Return by series and quantity the Bjøntegaard differences of mean curves, and of PSNR by picture.

    Where curves have too few points or no overlap there is {"reason": ...} instead of numbers.
    """
    if anchor not in series:
        return {}
    reference = means(series[anchor])
    out: dict[str, dict[str, Any]] = {}
    for name, rows in series.items():
        if name == anchor:
            continue
        mean = means(rows)
        entry: dict[str, Any] = {}
        for quantity in QUANTITIES:
            first, second = curve(reference, quantity), curve(mean, quantity)
            if first and second:
                entry[quantity] = difference(first, second)
        entry["psnr_by_picture"] = by_picture(series[anchor], rows, "psnr")
        out[name] = entry
    return out


def by_picture(anchor: Rows, test: Rows, quantity: str) -> list[float | None]:
    """Return the BD-rate of each picture's own curves, None where there is none."""
    pairs = zip(_curves_of_each(anchor, quantity), _curves_of_each(test, quantity), strict=True)
    return [difference(first, second).get("bd_rate") for first, second in pairs]


def _curves_of_each(rows: Rows, quantity: str) -> list[list[Point]]:
    count = len(next(iter(rows.values())))
    return [curve({quality: of[n] for quality, of in rows.items()}, quantity) for n in range(count)]


def difference(anchor: list[Point], test: list[Point]) -> dict[str, Any]:
    """Return the Bjøntegaard differences of a curve against another by name; {"reason": ...} where there is none."""
    try:
        return compare(anchor, test).as_dict()
    except ValueError as error:
        return {"reason": str(error)}
