"""All parts of a validation in order, and the report they make."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph import progress
from heliograph.codec.codec import Codec
from heliograph.errors import HeliographError
from heliograph.measure import environment, rate_distortion
from heliograph.measure.baselines import BASELINES, JPEG_VARIANTS
from heliograph.measure.cache import Cache, picture_hash
from heliograph.measure.rate_distortion import Rows
from heliograph.measure.runner import Runner
from heliograph.measure.sites import find
from heliograph.validate import (
    codec_rows,
    digests,
    gallery,
    parity,
    picture_by_picture,
    robustness,
    runners,
    sites,
    thin_links,
)
from heliograph.validate.contents import CONTENTS
from heliograph.validate.gallery import Sheet
from heliograph.validate.subject import Subject

PARTS = ("rate-distortion", "parity", "robustness", "thin-links", "maps")
PARITY_PICTURES = 4  # plain kernels take seconds a picture
ROBUSTNESS_PICTURES = 3
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    """What to examine, and how much of it.

    Attributes:
        parts: some of PARTS.
        against: keys of BASELINES; "jpeg" brings its variants.
        jobs: processes that measure beside this one.
        perceptual: measure SSIMULACRA2 too.
        shown: pictures in the slider and the maps.
        trained: returns runners of a codec's training run, for parity with it.
        python: another environment's Python, for parity with its runtime.
        sites: what to measure site memory on, None for nothing.
    """

    parts: Sequence[str] = PARTS
    qualities: Sequence[int] = codec_rows.QUALITIES
    against: Sequence[str] = tuple(BASELINES)
    jobs: int = 1
    perceptual: bool = False
    shown: int = 3
    trained: Callable[[Codec], Sequence[Runner]] | None = None
    python: str | None = None
    sites: sites.Settings | None = None


@dataclass(frozen=True)
class Report:
    """What was found: `figures` is report.json, `sheets` are the pictures of the page."""

    figures: dict[str, Any]
    sheets: list[Sheet] = field(default_factory=list)


def labels(decoders: Sequence[str]) -> dict[str, str]:
    """Return what each curve is called."""
    ours = {d: f"Heliograph, {d} decoder" for d in decoders}
    return ours | {n: b.label for n, b in BASELINES.items()} | JPEG_VARIANTS


def describe(subject: Subject) -> dict[str, Any]:
    """Return what codec was examined."""
    codec = subject.codec
    described = {
        "name": codec.name,
        "id": codec.id.hex(),
        "files": dict(codec.hashes),
        "tile": codec.tile,
        "channels": codec.channels,
        "runtime": subject.encoder.runtime,
        "decoders": list(subject.decoders),
    }
    for part in ("encoder", "server_decoder", "preview_decoder"):
        cost = codec.manifest.get(part, {}).get("kmac_per_pixel")
        if cost is not None:
            described[f"{part}_kmac_per_pixel"] = cost
    return described


def measure_curves(
    subject: Subject, names: Sequence[str], pictures: Sequence[Picture], settings: Settings, cache: Cache
) -> dict[str, Any]:
    """Return the rate–distortion part of a report."""
    count = len(settings.qualities) * len(subject.decoders)
    count += sum(len(BASELINES[b].qualities) for b in settings.against)
    series: dict[str, Rows] = {}
    with (
        rate_distortion.workers(settings.jobs) as pool,
        progress.bar(count * len(pictures), "rate-distortion") as bar,
    ):
        for decoder in subject.decoders:
            series[decoder] = codec_rows.codec_rows(
                subject,
                pictures,
                decoder=decoder,
                qualities=settings.qualities,
                pool=pool,
                cache=cache,
                advance=bar.update,
                perceptual=settings.perceptual,
            )
        left_out: dict[str, str] = {}
        for name in settings.against:
            try:
                series[name] = rate_distortion.baseline_rows(
                    name,
                    pictures,
                    pool=pool,
                    cache=cache,
                    advance=bar.update,
                    perceptual=settings.perceptual,
                )
            except rate_distortion.BaselineError as error:
                left_out[name] = str(error)
    if "jpeg" in series:
        series |= rate_distortion.jpeg_variants(series["jpeg"])
    return {
        "anchor": rate_distortion.ANCHOR,
        "labels": {n: text for n, text in labels(subject.decoders).items() if n in series},
        "libraries": {n: BASELINES[n].version for n in settings.against if n in series},
        "left_out": left_out,
        "curves": {
            n: {str(q): row for q, row in rate_distortion.means(rows).items()} for n, rows in series.items()
        },
        "differences": rate_distortion.differences(series),
        "by_picture": picture_by_picture.measure(series, subject.main, settings.against, names),
        "rows": {n: {str(q): of for q, of in rows.items()} for n, rows in series.items()},
    }


def _parity(
    subject: Subject, pictures: Sequence[Picture], settings: Settings, cache: Cache
) -> dict[str, Any]:
    all_runners = runners.installed(subject.codec, python=settings.python)
    if settings.trained is not None:
        all_runners += settings.trained(subject.codec)
    some = [pictures[n] for n in gallery.choose(len(pictures), PARITY_PICTURES)]
    with progress.bar(len(all_runners), "parity") as bar:
        return parity.measure(subject, some, all_runners, cache=cache, advance=bar.update)


def _robustness(subject: Subject, pictures: Sequence[Picture], cache: Cache) -> dict[str, Any]:
    whole = [pictures[n] for n in gallery.choose(len(pictures), ROBUSTNESS_PICTURES)]
    some = [gallery.middle(picture) for picture in whole]
    with progress.bar(len(CONTENTS) + 2, "robustness") as bar:
        return robustness.measure(subject, some, whole, cache=cache, advance=bar.update)


def _sheets(
    subject: Subject,
    figures: dict[str, Any],
    pictures: Sequence[Picture],
    settings: Settings,
    cache: Cache,
) -> list[Sheet]:
    """Return sheets of the worst pictures, or where none was measured of some, evenly spread."""
    names = [picture["name"] for picture in figures["pictures"]]
    worst = picture_by_picture.order(figures)[2] or gallery.choose(len(pictures), settings.shown)
    shown = worst[: settings.shown]
    with progress.bar(len(shown) * len(gallery.QUALITIES), "maps") as bar:
        return gallery.sheets(
            subject, [names[n] for n in shown], [pictures[n] for n in shown], cache=cache, advance=bar.update
        )


def check_streams(folder: Path, subject: Subject) -> dict[str, Any]:
    """Return the part about streams that another machine made."""
    checked = digests.check_folder(folder, subject.codec)
    return {
        "folder": str(folder),
        "streams": len(checked),
        "failed": sum(bool(c.problem) for c in checked),
        "checked": [asdict(c) for c in checked],
    }


def validate(
    subject: Subject,
    names: Sequence[str],
    pictures: Sequence[Picture],
    settings: Settings,
    *,
    cache_path: Path | None,
    streams: Path | None = None,
    command: str = "",
    say: Callable[[str], object] = lambda line: None,
) -> Report:
    """Examine a codec and return the report.

    Args:
        names: of the pictures, uint8 [H, W, 3] each.
        cache_path: file that keeps measurements, None for none.
        streams: folder of streams made elsewhere, with digests.
        command: how the report can be made again, for its readers.
        say: is told which part begins.
    """
    began = time.perf_counter()
    found = [] if settings.sites is None else find(settings.sites.folder, settings.sites.every)
    seconds: dict[str, float] = {}
    figures: dict[str, Any] = {
        "command": command,
        "codec": describe(subject),
        "environment": environment.describe(),
        "pictures": [
            {"name": n, "width": p.shape[1], "height": p.shape[0], "sha256": picture_hash(p)}
            for n, p in zip(names, pictures, strict=True)
        ],
    }
    sheets: list[Sheet] = []

    failed: dict[str, str] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        """Return what a part found, or None: hours of the others are not lost because one fails."""
        start = time.perf_counter()
        say(name)
        try:
            return work()
        except HeliographError:
            raise
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
            return None
        finally:
            seconds[name] = round(time.perf_counter() - start, 2)

    def thin() -> tuple[dict[str, Any], list[Sheet]]:
        against, perceptual = settings.against, settings.perceptual
        return thin_links.measure(subject, names, pictures, cache, against=against, perceptual=perceptual)

    with closing(Cache(cache_path)) as cache:
        if streams is not None:
            figures["streams"] = timed("streams", lambda: check_streams(streams, subject))
        if pictures:
            if "rate-distortion" in settings.parts:
                figures["rate_distortion"] = timed(
                    "rate-distortion", lambda: measure_curves(subject, names, pictures, settings, cache)
                )
            if "parity" in settings.parts:
                figures["parity"] = timed("parity", lambda: _parity(subject, pictures, settings, cache))
            if "robustness" in settings.parts:
                figures["robustness"] = timed("robustness", lambda: _robustness(subject, pictures, cache))
            if "thin-links" in settings.parts:
                figures["thin_links"], sheets = timed("thin-links", thin) or (None, [])
            if "maps" in settings.parts:
                sheets = (
                    timed("maps", lambda: _sheets(subject, figures, pictures, settings, cache)) or []
                ) + sheets
        if settings.sites is not None:
            of = settings.sites
            figures["sites"] = timed("sites", lambda: sites.measure(subject, found, of, cache))
        figures["cache"] = {"hits": cache.hits, "misses": cache.misses}
    figures = {name: part for name, part in figures.items() if part is not None}
    if failed:
        figures["failed"] = failed
    seconds["all"] = round(time.perf_counter() - began, 2)
    figures["seconds"] = seconds
    return Report(figures, sheets)


def summary(figures: dict[str, Any]) -> dict[str, Any]:
    """Return what is worth keeping beside a codec: means and differences, without rows and layers of each picture.

    Times are left out: they are the machine's, and its other work's.
    """
    kept: dict[str, Any] = {k: figures[k] for k in ("command", "codec", "environment")}
    kept["pictures"] = len(figures["pictures"])
    if "rate_distortion" in figures:
        part = {k: v for k, v in figures["rate_distortion"].items() if k != "rows"}
        curves = part["curves"].items()
        kept["rate_distortion"] = part | {
            "curves": {n: {q: _lasting(row) for q, row in curve.items()} for n, curve in curves}
        }
    if "parity" in figures:
        runs = figures["parity"]["runtimes"].items()
        short = {name: {k: v for k, v in r.items() if k != "layers"} for name, r in runs}
        kept["parity"] = figures["parity"] | {"runtimes": short}
    if "robustness" in figures:
        kept["robustness"] = figures["robustness"]
    if "thin_links" in figures:
        kept["thin_links"] = thin_links.without_rows(figures["thin_links"])
    if "sites" in figures:
        short = {
            name: {k: v for k, v in part.items() if k != "rows"}
            for name, part in figures["sites"]["sequences"].items()
        }
        kept["sites"] = figures["sites"] | {"sequences": short}
    return _rounded(kept)  # type: ignore[no-any-return]


def _lasting(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if v is not None and not k.endswith("_s")}


def _rounded(value: Any) -> Any:
    """Six digits are more than a measurement has."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list) else value


def compact(value: Any, depth: int = 4) -> str:
    """Return JSON text with a line for each entry of the first levels, so that it stays small and can be compared."""
    if depth and value and isinstance(value, (dict, list)):
        pad = "\n" + " " * (5 - depth)
        if isinstance(value, dict):
            lines = [f"{json.dumps(k)}: {compact(v, depth - 1)}" for k, v in value.items()]
            return "{" + pad + ("," + pad).join(lines) + pad[:-1] + "}"
        return json.dumps(value)
    return json.dumps(value)
