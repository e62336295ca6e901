"""Say whether a codec may ship: rate–distortion, parity of runtimes, robustness, and a report to look at."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import registry
from heliograph.commands.console import Console
from heliograph.commands.encoding import add_memory_options
from heliograph.commands.quantities import count
from heliograph.device.runtime import RUNTIMES
from heliograph.errors import RuntimeUnavailableError, cause
from heliograph.extras import install
from heliograph.files import write_where_told
from heliograph.pictures import list_pictures, load_srgb
from heliograph.samples import sample_pictures
from heliograph.server.decoders import open_decoder

NAME = "validate"
HELP = "whether a codec may ship: a report with curves, parity, robustness, pictures"
PARTS = ("rate-distortion", "parity", "robustness", "thin-links", "maps")
BASELINES = ("jpeg", "webp", "jpeg2000", "avif", "avif-psnr")
VIDEOS = ("x265", "x265-causal", "x265-intra", "svt-av1")  # through ffmpeg, of sites
# The small, fast set: the middle of three sample pictures that differ, five qualities, JPEG alone.
QUICK_PICTURES = ("astronaut.png", "chelsea.png", "rocket.jpg")
QUICK_SIDE = 320
QUICK_QUALITIES = (10, 30, 50, 70, 90)
EXIT_MISSED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--codec", default="accelerator", metavar="NAME_OR_DIR", help="codec (%(default)s)")
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="pictures to measure on; default: the colour sample pictures of scikit-image",
    )
    pictures.add_argument(
        "--quick",
        action="store_true",
        help="the middle of three sample pictures, five qualities, against JPEG and AVIF with SSIMULACRA2, "
        "rate–distortion only: for --require in CI",
    )
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write report.html, report.json, summary.json, curves.svg"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="what to examine (all)")
    parser.add_argument(
        "--decoder", choices=["both", "server", "preview"], default="both", help="(%(default)s)"
    )
    parser.add_argument(
        "--qualities",
        type=int,
        choices=range(101),
        nargs="+",
        metavar="Q",
        help="default: 5 15 ... 95, of sites 5 15 40 70 90",
    )
    parser.add_argument(
        "--against",
        nargs="*",
        choices=(*BASELINES, *VIDEOS),
        help="what to compare with (all); sites with avif and videos",
    )
    parser.add_argument("--ssimulacra2", action="store_true", help="measure it too, a second for each file")
    parser.add_argument(
        "--streams", type=Path, metavar="DIR", help="check streams made elsewhere with encode --with-digest"
    )
    parser.add_argument(
        "--sites",
        type=Path,
        metavar="DIR",
        help="measure site memory: a folder of folders, each a fixed camera's pictures in the order of their names",
    )
    parser.add_argument(
        "--every", type=count, default=1, metavar="N", help="of sites every N-th picture (%(default)s)"
    )
    add_memory_options(parser)
    parser.add_argument(
        "--require", type=Path, metavar="FILE", help="thresholds, TOML or JSON; exit 1 if missed"
    )
    parser.add_argument(
        "--write-require", type=Path, metavar="FILE", help="write thresholds a little below what was measured"
    )
    parser.add_argument(
        "--run",
        dest="trained_in",
        type=Path,
        metavar="DIR",
        help="the codec's training run, for parity with it",
    )
    parser.add_argument(
        "--python", metavar="FILE", help="another environment's Python, for parity with its runtime"
    )
    parser.add_argument("--runtime", choices=list(RUNTIMES), help="TFLite runtime of encoder and preview")
    parser.add_argument(
        "--shown", type=count, default=3, metavar="N", help="pictures in the slider (%(default)s)"
    )
    parser.add_argument(
        "--jobs", type=count, default=os.cpu_count() or 1, metavar="N", help="processes (%(default)s)"
    )
    parser.add_argument("--cache", type=Path, metavar="FILE", help="where measurements are kept")
    parser.add_argument("--no-cache", action="store_true", help="measure everything anew")


def run(arguments: argparse.Namespace) -> int:
    """Examine a codec; return the exit code: 1 where a requirement is missed, a stream is another, a part failed."""
    console = Console.of(arguments)
    try:
        harness = importlib.import_module("heliograph.validate.harness")
        page = importlib.import_module("heliograph.validate.page")
    except Exception as error:  # a package that does not fit its numpy raises anything
        raise RuntimeUnavailableError(
            f"measuring needs SciPy ({cause(error)}): {install('validate')}"
        ) from error
    gate = importlib.import_module("heliograph.validate.gate")
    cache = importlib.import_module("heliograph.measure.cache")
    subject_of = importlib.import_module("heliograph.validate.subject").Subject
    codec = registry.open_codec(arguments.codec)
    requirements = gate.load(arguments.require) if arguments.require else []
    names, pictures = _pictures(arguments)
    subject = subject_of(
        codec,
        lambda kind: open_decoder(kind, codec, runtime=arguments.runtime).decode,
        runtime=arguments.runtime,
        decoders=("server", "preview") if arguments.decoder == "both" else (arguments.decoder,),
    )
    report = harness.validate(
        subject,
        names,
        pictures,
        _settings(harness, arguments),
        cache_path=None if arguments.no_cache else arguments.cache or cache.default_path(),
        streams=arguments.streams,
        command=_command(arguments, codec.name),
        say=console.note,
    )
    missed = gate.check(report.figures, requirements)
    if requirements:
        report.figures["gate"] = {"requirements": len(requirements), "missed": missed}
    told = lines(report.figures)
    if arguments.report:
        for name, data in files(report, harness, page):
            write_where_told(arguments.report / name, data)
        told += ["", f"report: {arguments.report / 'report.html'}"]
    console.result(report.figures, told)
    if arguments.write_require:
        write_where_told(arguments.write_require, gate.suggest(report.figures).encode())
    for line in missed:
        console.warn(f"missed: {line}")
    failed = report.figures.get("streams", {}).get("failed", 0)
    return EXIT_MISSED if missed or failed or "failed" in report.figures else 0


def _pictures(arguments: argparse.Namespace) -> tuple[list[str], list[npt.NDArray[np.uint8]]]:
    """Return names and pictures uint8 [H, W, 3]."""
    if arguments.images:
        paths = list_pictures(arguments.images)
    elif (arguments.streams or arguments.sites) and not arguments.quick:
        paths = []
    else:
        paths = sample_pictures(colour_only=True)
    if arguments.quick:
        paths = [path for path in paths if path.name in QUICK_PICTURES]
    pictures = [load_srgb(path) for path in paths]
    if arguments.quick:
        middle = importlib.import_module("heliograph.validate.gallery").middle
        pictures = [middle(picture, QUICK_SIDE) for picture in pictures]
    root = arguments.images
    return [(path.relative_to(root).as_posix() if root else path.name) for path in paths], pictures


def _settings(harness: Any, arguments: argparse.Namespace) -> Any:
    quick = arguments.quick
    parts = arguments.parts or (("rate-distortion",) if quick else PARTS)
    if not arguments.report:
        parts = [p for p in parts if p != "maps"]  # which only a page shows
    against = arguments.against
    if against is None:
        against = ("jpeg", "avif") if quick else (*BASELINES, *VIDEOS)
    default = QUICK_QUALITIES if quick else harness.codec_rows.QUALITIES
    return harness.Settings(
        parts=tuple(parts),
        qualities=tuple(arguments.qualities or default),
        against=tuple(name for name in against if name in BASELINES),
        jobs=arguments.jobs,
        perceptual=arguments.ssimulacra2 or quick,
        shown=arguments.shown,
        trained=_trained(arguments.trained_in),
        python=arguments.python,
        sites=_sites(harness.sites, arguments, against) if arguments.sites else None,
    )


def _sites(sites: Any, arguments: argparse.Namespace, against: Sequence[str]) -> Any:
    return sites.Settings(
        arguments.sites,
        tuple(arguments.qualities or sites.QUALITIES),
        every=arguments.every,
        keep=arguments.keep,
        max_depth=arguments.max_depth,
        against=tuple(name for name in against if name in sites.OTHERS),
    )


def _trained(run: Path | None) -> Any:
    """Return what makes runners of a training run's encoder, None without a run."""
    if run is None:
        return None
    trained = importlib.import_module("heliograph.train.experiments.trained")
    return lambda codec: trained.runners(codec, run)


def _command(arguments: argparse.Namespace, codec: str) -> str:
    """Return how the figures can be had again; folders by their last part, since where they lie is nobody's matter."""
    words = ["heliograph", "validate", "--codec", codec]
    if arguments.images:
        words += ["--images", arguments.images.resolve().name]
    if arguments.sites:
        words += ["--sites", arguments.sites.resolve().name, "--every", str(arguments.every)]
        words += ["--keep", str(arguments.keep), "--max-depth", str(arguments.max_depth)]
    for name in ("quick", "ssimulacra2"):
        words += [f"--{name}"] if getattr(arguments, name) else []
    for name in ("parts", "qualities", "against"):
        if getattr(arguments, name):
            words += [f"--{name}", *map(str, getattr(arguments, name))]
    words += ["--run", "RUN"] if arguments.trained_in else []
    words += ["--python", "PYTHON"] if arguments.python else []
    if arguments.decoder != "both":
        words += ["--decoder", arguments.decoder]
    return shlex.join(words)


def files(report: Any, harness: Any, page: Any) -> list[tuple[str, bytes]]:
    """Return name and content of every file of a report."""
    figures = report.figures
    entries = [
        ("report.html", page.render(report).encode()),
        ("report.json", (json.dumps(figures, indent=1) + "\n").encode()),
        ("summary.json", (harness.compact(harness.summary(figures)) + "\n").encode()),
    ]
    if "rate_distortion" in figures:
        drawn = page.curve_chart(
            figures["rate_distortion"], "psnr", "PSNR over RGB, dB", page.chart_title(figures)
        )
        entries.append(("curves.svg", (drawn + "\n").encode()))
    return entries


def lines(figures: dict[str, Any]) -> list[str]:
    """Return the main figures as lines of text."""
    codec = figures["codec"]
    out = [f"codec {codec['name']} ({codec['id']}), {len(figures['pictures'])} pictures, {codec['runtime']}"]
    out += importlib.import_module("heliograph.validate.verdict").judge(figures).lines()
    if "rate_distortion" in figures:
        out += _curve_lines(figures["rate_distortion"])
        out += importlib.import_module("heliograph.validate.picture_by_picture").lines(figures)
    if "parity" in figures:
        out += ["", f"parity with {figures['parity']['reference']}"]
        for name, r in figures["parity"]["runtimes"].items():
            cost = "" if r["bd_rate"] is None else f", {100 * r['bd_rate']:+.2f} % BD-rate"
            out.append(f"{name:<28} {r['equal']:8.3%} equal, at most {r['largest']:.0f} apart{cost}")
        out += [f"{n:<28} {why}" for n, why in figures["parity"]["unavailable"].items()]
    if "robustness" in figures:
        out += ["", "robustness: gain over JPEG at equal bytes in dB, by quality"]
        for entry in figures["robustness"]["classes"].values():
            for decoder in codec["decoders"]:
                gains = [m["gain_db"] for q, m in entry[decoder].items() if q != "shocks"]
                text = "  ".join("     -" if g is None else f"{g:+6.2f}" for g in gains)
                why = "; ".join(entry[decoder]["shocks"])
                out.append(f"{entry['label']:<20} {decoder:<8} {text}" + (f"   SHOCKS: {why}" if why else ""))
    if "thin_links" in figures:
        out += importlib.import_module("heliograph.validate.thin_link_tables").lines(figures["thin_links"])
    if "sites" in figures:
        out += importlib.import_module("heliograph.validate.site_tables").lines(figures["sites"])
    if "streams" in figures:
        part = figures["streams"]
        out += ["", f"streams: {part['streams'] - part['failed']} of {part['streams']} as recorded"]
        out += [f"{c['stream']}: {c['problem']}" for c in part["checked"] if c["problem"]]
    if "gate" in figures:
        gate = figures["gate"]
        out += ["", f"gate: {gate['requirements'] - len(gate['missed'])} of {gate['requirements']} met"]
    cache = figures["cache"]
    total = cache["hits"] + cache["misses"]
    out += ["", f"{figures['seconds']['all']:.1f} s; {cache['hits']} of {total} measurements were known"]
    return out


def _curve_lines(part: dict[str, Any]) -> list[str]:
    out = []
    for name, curve in part["curves"].items():
        out += ["", f"{part['labels'][name]}"]
        out.append(" setting    bpp   PSNR  PSNR-Y  MS-SSIM  encode ms  decode ms")
        for quality, row in curve.items():
            decode = f"{1000 * row['decode_s']:10.1f}" if "decode_s" in row else ""
            similarity = "      - " if row["ms_ssim"] is None else f"{row['ms_ssim']:8.4f}"
            out.append(
                f"{quality:>8} {row['bpp']:6.3f} {row['psnr']:6.2f} {row['psnr_y']:7.2f} {similarity} "
                f"{1000 * row['encode_s']:10.1f} {decode}"
            )
    if part["differences"]:
        out += ["", "against JPEG (libjpeg-turbo, optimised Huffman tables, 4:2:0), PSNR over RGB"]
    for name, difference in part["differences"].items():
        d = difference.get("psnr", {})
        if "bd_rate" not in d:
            out.append(f"{part['labels'][name]:<40} {d.get('reason', '')}")
            continue
        gain = "" if d["bd_psnr"] is None else f", BD-PSNR {d['bd_psnr']:+.2f} dB"
        out.append(
            f"{part['labels'][name]:<40} BD-rate {100 * d['bd_rate']:+6.1f} % from {d['from_db']:.1f} to "
            f"{d['to_db']:.1f} dB{gain}"
        )
    return out
