"""Rate–distortion of a codec on pictures, from real files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor

from heliograph.codec.levels import from_quality
from heliograph.codec.stream import decode_stream
from heliograph.measure.cache import Cache, picture_hash
from heliograph.measure.rate_distortion import Advance, Gathered, Picture, Row, Rows, measure, perceptual_fact
from heliograph.validate.subject import Subject

QUALITIES = (5, 15, 25, 35, 45, 55, 65, 75, 85, 95)


def codec_rows(
    subject: Subject,
    pictures: Sequence[Picture],
    *,
    decoder: str | None = None,
    qualities: Sequence[int] = QUALITIES,
    pool: Executor,
    cache: Cache | None = None,
    advance: Advance = lambda: None,
    perceptual: bool = False,
) -> Rows:
    """Encode pictures with the int8 encoder at several qualities and decode the files; one row a picture."""
    cache = cache or Cache(None)
    facts = {**subject.facts(decoder), "perceptual": perceptual_fact(perceptual)}
    gathered = Gathered(qualities, cache, advance)
    for picture in pictures:
        digest, packer, inference = picture_hash(picture), None, 0.0
        for quality in qualities:
            key = cache.key("codec", {**facts, "picture": digest, "quality": quality})
            row = cache.get(key)
            if row is not None:
                gathered.known(quality, row)
                continue
            if packer is None:
                began = time.perf_counter()
                packer = subject.packer(picture)
                inference = time.perf_counter() - began
            began = time.perf_counter()
            data = packer.at(from_quality(quality))
            packed = time.perf_counter()
            shown = subject.decode(decode_stream(data, subject.codec), decoder)
            times = (inference + packed - began, time.perf_counter() - packed)
            task = pool.submit(_measure_timed, picture, len(data), shown, perceptual, times)
            gathered.measured(quality, key, task)
    gathered.take(wait=True)
    return gathered.rows


def _measure_timed(
    picture: Picture, size: int, shown: Picture, perceptual: bool, times: tuple[float, float]
) -> Row:
    return measure(picture, size, shown, perceptual) | {"encode_s": times[0], "decode_s": times[1]}
