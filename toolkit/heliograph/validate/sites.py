"""Site memory on pictures of fixed cameras: bytes and PSNR with and without it, beside stills and video codecs.

Each sequence is coded as a device codes it whose receiver confirms every picture before the next one: the int8
encoder, a memory in a folder, real streams; what is shown is decoded by a receiver that has nothing but the streams.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heliograph import progress
from heliograph.codec.memory import KEEP, MAX_DEPTH, Memory
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import Values
from heliograph.errors import RuntimeUnavailableError
from heliograph.measure import baselines, metrics, rate_distortion, video
from heliograph.measure.baselines import BASELINES
from heliograph.measure.cache import Cache, picture_hash
from heliograph.measure.rate_distortion import EQUAL_DB, Advance, Picture, Row, Rows
from heliograph.measure.sites import Site
from heliograph.measure.video import VIDEOS
from heliograph.validate.subject import Subject

QUALITIES = (5, 15, 40, 70, 90)
MEMORY, ALONE, STILLS = "memory", "none", "avif"
LABELS = {MEMORY: "with memory", ALONE: "without memory", STILLS: f"{BASELINES[STILLS].label}, stills"}
LABELS |= {name: one.label for name, one in VIDEOS.items()}
OTHERS = (STILLS, *VIDEOS)
Steps = Callable[..., object]  # of a bar: one, or so many
# Of a stream: how many pictures it builds on, and how many pictures ago its reference was; 0 for one that has none.
DEPTH, BACK = "depth", "back"


@dataclass(frozen=True)
class Settings:
    """How sequences are measured.

    Attributes:
        folder: of folders, each with a fixed camera's pictures.
        every: of each sequence, every so manieth picture.
        keep, max_depth: see `Memory`.
        against: some of OTHERS.
    """

    folder: Path
    qualities: Sequence[int] = QUALITIES
    every: int = 1
    keep: int = KEEP
    max_depth: int = MAX_DEPTH
    against: Sequence[str] = OTHERS


def measure(subject: Subject, sites: Sequence[Site], settings: Settings, cache: Cache) -> dict[str, Any]:
    """Return the part of a report about sites."""
    wanted = {name: video.missing(name) for name in VIDEOS if name in settings.against}
    if STILLS in settings.against:
        wanted[STILLS] = None if BASELINES[STILLS].installed else "this Pillow has no AVIF"
    missing = {name: why for name, why in wanted.items() if why}
    found = [name for name in OTHERS if name in wanted and name not in missing]
    steps = 2 * len(settings.qualities) + sum(len(_settings(name)) for name in found)
    sequences = {}
    with progress.bar(steps * sum(len(site.paths) for site in sites), "sites") as bar:
        for site in sites:
            pictures = site.pictures()
            series = _ours(subject, pictures, settings, cache, bar.update)
            for name in found:
                try:
                    series[name] = _others(name, pictures, cache, bar.update)
                except RuntimeUnavailableError as error:
                    missing[name] = f"{site.name}: {error}"
            sequences[site.name] = describe(pictures, series)
    return {
        "settings": {
            "decoder": subject.main,
            "qualities": list(settings.qualities),
            "every": settings.every,
            "keep": settings.keep,
            "max_depth": settings.max_depth,
        },
        "labels": LABELS,
        "libraries": {n: video.version() if n in VIDEOS else BASELINES[n].version for n in found},
        "missing": missing,
        "sequences": sequences,
        "worst": worst(sequences),
    }


def _ours(
    subject: Subject, pictures: Sequence[Picture], settings: Settings, cache: Cache, advance: Steps
) -> dict[str, Rows]:
    """Return the rows with memory and without, by quality."""
    facts = {**subject.facts(), "pictures": [picture_hash(picture) for picture in pictures]}
    bounds = {"keep": settings.keep, "max_depth": settings.max_depth}
    series: dict[str, Rows] = {MEMORY: {}, ALONE: {}}
    for name, rows in series.items():
        for quality in settings.qualities:
            key = cache.key(
                "site", {**facts, "quality": quality, "memory": bounds if name == MEMORY else None}
            )
            known = cache.get(key)
            if known is None:
                with tempfile.TemporaryDirectory() as folder:
                    memory = Memory(Path(folder), subject.codec, **bounds) if name == MEMORY else None
                    known = coded(subject, pictures, Rate(quality=quality), memory, advance)
                cache.put(key, known)
            else:
                advance(len(pictures))
            rows[quality] = known
    return series


def coded(
    subject: Subject,
    pictures: Sequence[Picture],
    rate: Rate,
    memory: Memory | None,
    advance: Advance,
) -> list[Row]:
    """Return a row for each picture of a sequence, coded one after another.

    Args:
        memory: empty; None codes each picture alone.
    """
    received: dict[
        bytes, tuple[int, Values]
    ] = {}  # number and values by picture id, of what may be referred to
    rows: list[Row] = []
    for number, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        candidates = memory.candidates(width, height) if memory else []
        received = {one.picture_id: received[one.picture_id] for one in candidates}
        packed = subject.encoder.pack(picture, rate, candidates)
        there = {picture_id: values for picture_id, (_, values) in received.items()}
        decoded = decode_stream(packed.data, subject.codec, references=there)
        if memory:
            memory.add(packed.data, packed.as_reference())
            received[decoded.picture_id] = number, decoded.values
        referred = decoded.reference
        rows.append(
            {
                "bytes": len(packed.data),
                "bpp": 8 * len(packed.data) / (height * width),
                "psnr": min(EQUAL_DB, metrics.psnr(picture, subject.decode(decoded))),
                DEPTH: referred.depth if referred else 0,
                BACK: number - received[referred.picture_id][0] if referred else 0,
            }
        )
        advance()
    return rows


def _others(name: str, pictures: Sequence[Picture], cache: Cache, advance: Steps) -> Rows:
    """Return the rows of stills or of a video by setting, as if all pictures of a video were of its mean size."""
    facts: dict[str, Any] = {"pictures": [picture_hash(picture) for picture in pictures]}
    if name in VIDEOS:
        one = VIDEOS[name]
        facts |= {
            "version": video.version(),
            "encoder": one.encoder,
            "options": one.options,
            "pixels": one.pixels,
        }
    else:
        facts |= {"version": BASELINES[name].version, "options": BASELINES[name].options}
    pixels = pictures[0].shape[0] * pictures[0].shape[1]
    found: Rows = {}
    for setting in _settings(name):
        key = cache.key(name, {**facts, "setting": setting})
        known = cache.get(key)
        if known is None:
            if name in VIDEOS:
                size, quality = video.measure(name, pictures, setting)
                known = [(size / len(pictures), db) for db in quality]
            else:
                files = [baselines.encode(name, picture, setting) for picture in pictures]
                shown = zip(pictures, map(baselines.decode, files), strict=True)
                quality = [metrics.psnr(*pair) for pair in shown]
                known = list(zip(map(len, files), quality, strict=True))
            cache.put(key, known)
        found[setting] = [
            {"bytes": size, "bpp": 8 * size / pixels, "psnr": min(EQUAL_DB, db)} for size, db in known
        ]
        advance(len(pictures))
    return found


def _settings(name: str) -> Sequence[int]:
    return VIDEOS[name].settings if name in VIDEOS else BASELINES[name].qualities[::2]


def describe(pictures: Sequence[Picture], series: dict[str, Rows]) -> dict[str, Any]:
    """Return what is told of a sequence.

    `saved` at equal quality numbers, `independent` (the share that refers to none), `depth` and `back` are by quality.
    `differences` are Bjøntegaard's of pictures with memory against each other series; `video` is that of x265 with
    prediction between pictures against x265 without.
    """
    curves = {name: rate_distortion.means(rows) for name, rows in series.items()}
    points = {name: rate_distortion.curve(mean) for name, mean in curves.items()}
    saved, depths, alone, back = {}, {}, {}, {}
    for number, rows in series[MEMORY].items():
        quality = str(number)
        before = sum(row["bytes"] or 0 for row in series[ALONE][number])
        saved[quality] = 1 - sum(row["bytes"] or 0 for row in rows) / before
        deep = [row[DEPTH] or 0 for row in rows]
        depths[quality] = float(np.mean(deep))
        alone[quality] = deep.count(0) / len(deep)
        steps = [row[BACK] or 0 for row in rows if row[DEPTH]]
        back[quality] = float(np.mean(steps)) if steps else None
    part: dict[str, Any] = {
        "pictures": len(pictures),
        "width": pictures[0].shape[1],
        "height": pictures[0].shape[0],
        "saved": saved,
        "independent": alone,
        "depth": depths,
        "back": back,
        "differences": {
            name: rate_distortion.difference(anchor, points[MEMORY])
            for name, anchor in points.items()
            if name != MEMORY
        },
        "curves": {name: {str(q): row for q, row in mean.items()} for name, mean in curves.items()},
        "rows": {name: {str(q): of for q, of in rows.items()} for name, rows in series.items()},
    }
    if "x265" in points and "x265-intra" in points:
        part["video"] = rate_distortion.difference(points["x265-intra"], points["x265"])
    return part


def worst(sequences: dict[str, Any]) -> dict[str, Any]:
    """Return the sequence that memory brings least; no "bd_rate" where one of them has none, so that a gate sees it."""
    rates = {name: part["differences"][ALONE].get("bd_rate") for name, part in sequences.items()}
    unknown = [name for name, rate in rates.items() if rate is None]
    if unknown:
        return {"sequence": unknown[0], "reason": sequences[unknown[0]]["differences"][ALONE]["reason"]}
    name = max(rates, key=lambda name: rates[name])
    return {"sequence": name, "bd_rate": rates[name]}
