"""Fit a codec to the pictures of one's own cameras: contexts and tables; the encoder stays as it is.

The new codec has another id, so that devices and servers both need its files. What it brings is printed, measured on
pictures held out, and may be nothing: on 18 pictures from drones it saved 0.3 %, on 12 ordinary photographs none.
"""

from __future__ import annotations

import argparse
import importlib
import math
import tempfile
from dataclasses import asdict
from pathlib import Path

from heliograph import chatter
from heliograph.codec import registry
from heliograph.codec.codec import MANIFEST
from heliograph.codec.manifest import check_name
from heliograph.commands.console import Console
from heliograph.commands.quantities import above_zero, count, seed
from heliograph.errors import OutputError, RuntimeUnavailableError, cause
from heliograph.extras import install

NAME = "calibrate"
HELP = (
    "fit a codec's contexts and tables to a site's pictures, and say what that saves: little, of few pictures"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--codec", default="accelerator", metavar="NAME", help="name or folder of the codec (%(default)s)"
    )
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="pictures of the site, 8 or more"
    )
    parser.add_argument(
        "--sites",
        type=Path,
        metavar="DIR",
        help="folder of folders, each with the pictures of one fixed camera in order: what site memory learns from",
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="folder of the new codec"
    )
    parser.add_argument("--name", metavar="NAME", help="of the new codec; default: the folder's")
    parser.add_argument(
        "--minutes", type=above_zero, default=4.0, metavar="N", help="of training the contexts (%(default)g)"
    )
    parser.add_argument(
        "--steps", type=count, metavar="N", help="instead of --minutes: repeatable by the seed"
    )
    parser.add_argument("--seed", type=seed, default=1, metavar="N", help="of all randomness (%(default)s)")
    parser.add_argument(
        "--all",
        action="store_true",
        help="fit on all pictures after measuring; otherwise half of them stay held out",
    )


def run(arguments: argparse.Namespace) -> int:
    """Calibrate and print what it saves; return the exit code."""
    name = arguments.name or arguments.out.resolve().name
    check_name(name)
    try:
        with chatter.held():
            calibration = importlib.import_module("heliograph.train.calibration")
            loop = importlib.import_module("heliograph.train.loop")
            curves = importlib.import_module("heliograph.measure.curves")
    except Exception as error:  # a package that does not fit its numpy raises anything
        raise RuntimeUnavailableError(
            f"calibrating needs Keras, TensorFlow and SciPy ({cause(error)}): {install('train', 'validate', 'device')}"
        ) from error
    codec = registry.open_codec(arguments.codec)
    if (arguments.out / MANIFEST).exists():
        raise OutputError(f"{arguments.out} holds a codec already; give another folder (-o)")
    fitted, held = calibration.split(arguments.images)
    budget = loop.Budget(arguments.minutes, arguments.steps)
    options = {"name": name, "seed": arguments.seed, "sites": arguments.sites}
    if arguments.all:
        with tempfile.TemporaryDirectory() as folder:
            half = calibration.calibrate(codec, fitted, Path(folder), budget, **options)
            rows = calibration.compare(codec, half, held)
        result = calibration.calibrate(codec, fitted + held, arguments.out, budget, **options)
    else:
        result = calibration.calibrate(codec, fitted, arguments.out, budget, **options)
        rows = calibration.compare(codec, result, held)
    lines = [
        f"fitted on {len(fitted)} pictures, measured on {len(held)} others, whole files, server decoder:"
    ]
    for row in rows:
        (bytes_before, mse_before), (bytes_after, mse_after) = row.before, row.after
        decibel = 10 * math.log10(mse_before / mse_after) if mse_before and mse_after else 0.0
        lines.append(
            f"  quality {row.quality:>2}: {bytes_before:7.0f} bytes before, {bytes_after:7.0f} after "
            f"({100 * (bytes_after / bytes_before - 1):+.1f} %), PSNR {decibel:+.2f} dB"
        )
    before, after = (
        [curves.Point(size, -10 * math.log10(mse)) for size, mse in (getattr(row, which) for row in rows)]
        for which in ("before", "after")
    )
    rate = curves.bd_rate(before, after)[0]
    lines.append(f"BD-rate {100 * rate:+.1f} %")
    lines.append(
        f"codec {result.name} ({result.id.hex()}) in {arguments.out}; devices and servers both need its files"
    )
    values = {
        "codec": result.name,
        "codec_id": result.id.hex(),
        "output": str(arguments.out),
        "fitted_on": len(fitted),
        "measured_on": len(held),
        "bd_rate": rate,
        "qualities": [asdict(row) for row in rows],
    }
    Console.of(arguments).result(values, lines)
    return 0
