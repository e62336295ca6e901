"""Rate–distortion of a codec on a folder of pictures, from real files, beside JPEG, WebP and AVIF."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec.manifest import Codec
from heliograph.codec.pack import pack_latents
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.device.encoder import Encoder
from heliograph.pictures import list_pictures, load_srgb
from heliograph.validate import baselines, metrics
from heliograph.validate.curves import Point, bd_rate

QUALITIES = (5, 15, 25, 35, 45, 55, 65, 75, 85, 95)
Picture = npt.NDArray[np.uint8]
Row = dict[str, float]


def measure(picture: Picture, data: bytes, shown: Picture) -> Row:
    """Return bytes, bits per pixel, PSNR over RGB, PSNR of luminance, and MS-SSIM of one file."""
    return {
        "bytes": len(data),
        "bpp": 8 * len(data) / (picture.shape[0] * picture.shape[1]),
        "psnr": metrics.psnr(picture, shown),
        "psnr_y": metrics.psnr_y(picture, shown),
        "ms_ssim": metrics.ms_ssim(picture, shown),
    }


def codec_rows(
    codec: Codec,
    pictures: Iterable[Picture],
    decode: Callable[[Decoded], Picture],
    *,
    qualities: Sequence[int] = QUALITIES,
    runtime: str | None = None,
) -> dict[int, list[Row]]:
    """Encode pictures with the int8 encoder at several qualities and decode the files; one row a picture."""
    encoder = Encoder(codec, runtime=runtime)
    pending: list[tuple[int, Future[Row], Row]] = []
    with ThreadPoolExecutor(1) as pool:  # compares while the next picture is decoded
        for picture in pictures:
            began = time.perf_counter()
            latents = encoder.latents(picture)
            inference = time.perf_counter() - began
            for quality in qualities:
                began = time.perf_counter()
                data = pack_latents(codec, latents, picture.shape[1], picture.shape[0], quality)
                packed = time.perf_counter()
                shown = decode(decode_stream(data, codec))
                times = {"encode_s": inference + packed - began, "decode_s": time.perf_counter() - packed}
                pending.append((quality, pool.submit(measure, picture, data, shown), times))
        rows: dict[int, list[Row]] = {q: [] for q in qualities}
        for quality, row, times in pending:
            rows[quality].append(row.result() | times)
    return rows


def baseline_rows(name: str, pictures: Iterable[Picture]) -> dict[int, list[Row]]:
    """Encode and decode pictures with a baseline at its list of qualities; one row a picture."""
    tasks = [(quality, picture) for picture in pictures for quality in baselines.QUALITIES[name]]

    def one(task: tuple[int, Picture]) -> tuple[int, Row]:
        quality, picture = task
        began = time.perf_counter()
        data = baselines.encode(name, picture, quality)
        seconds = time.perf_counter() - began
        return quality, measure(picture, data, baselines.decode(data)) | {"encode_s": seconds}

    rows: dict[int, list[Row]] = {q: [] for q in baselines.QUALITIES[name]}
    with ThreadPoolExecutor(2) as pool:  # Pillow's codecs release the interpreter's lock
        for quality, row in pool.map(one, tasks):
            rows[quality].append(row)
    return rows


def means(rows: dict[int, list[Row]]) -> dict[int, Row]:
    """Return the means over pictures at each quality."""
    return {q: {k: float(np.mean([r[k] for r in of])) for k in of[0]} for q, of in rows.items() if of}


def curve(mean: dict[int, Row], quantity: str = "psnr") -> list[Point]:
    """Return a curve of means for `curves.bd_rate`."""
    return [Point(row["bpp"], row[quantity]) for row in mean.values()]


def load_folder(folder: Path) -> list[Picture]:
    """Return all pictures of a folder, uint8 [H, W, 3] sRGB."""
    return [load_srgb(path) for path in list_pictures(folder)]


def evaluate(
    codec: Codec,
    folder: Path,
    decode: Callable[[Decoded], Picture],
    *,
    qualities: Sequence[int] = QUALITIES,
    runtime: str | None = None,
    against: Sequence[str] = ("jpeg", "webp", "avif"),
) -> dict[str, Any]:
    """Return mean curves of a codec and baselines on a folder and the BD-rate of each against JPEG."""
    pictures = load_folder(folder)
    curves = {codec.name: means(codec_rows(codec, pictures, decode, qualities=qualities, runtime=runtime))}
    curves |= {name: means(baseline_rows(name, pictures)) for name in against}
    anchor = curve(curves["jpeg"]) if "jpeg" in curves else None
    rates = {}
    if anchor is not None:
        for name, mean in curves.items():
            difference, overlap = bd_rate(anchor, curve(mean))
            rates[name] = {"bd_rate": difference, "from_db": overlap[0], "to_db": overlap[1]}
    return {
        "codec": codec.name,
        "id": codec.id.hex(),
        "pictures": len(pictures),
        "curves": {name: {str(q): row for q, row in mean.items()} for name, mean in curves.items()},
        "bd_rate_against_jpeg": rates,
    }
