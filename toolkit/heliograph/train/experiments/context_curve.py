"""Bytes that contexts save against their multiply-adds: fits several sizes on a frozen encoder's latents.

    python -m heliograph.train.experiments.context_curve CODEC RUN PHOTOS [--minutes M]

CODEC is a key of ENCODERS, RUN the folder of a training run whose stage `freeze` is done.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from heliograph.codec.tiles import STRIDE
from heliograph.errors import HeliographError
from heliograph.train.context_fit import PREDICTED, default_spec, fit_contexts, savings
from heliograph.train.context_spec import macs_per_pixel
from heliograph.train.loop import Budget
from heliograph.train.networks import ENCODERS
from heliograph.train.run import File, Run
from heliograph.train.stage3_freeze import frozen_steps
from heliograph.train.stage4_tables import ROUNDING, latent_maps

FEATURES = ((4, 8), (8, 16), (12, 24), (16, 32))
QUALITIES = (10, 30, 50, 70, 90)
HELD_OUT = 24  # maps that are measured on and not fitted on


@dataclass(frozen=True)
class Size:
    """A size of context model: `saved` is the share of the bytes under ideal static tables, by quality."""

    features: tuple[int, int]
    macs_per_pixel: float
    saved: dict[int, float]


def sizes(
    run: Run,
    budget: Budget,
    *,
    pictures: int,
    held_out: int = HELD_OUT,
    features: Sequence[tuple[int, int]] = FEATURES,
) -> Iterator[Size]:
    """Fit a context model of each size on a run's latents and yield what it saves.

    Args:
        run: its stage `freeze` is done.
        budget: of each size's training.
        pictures: that are fitted on.
        held_out: pictures that are measured on.
        features: the sizes.
    """
    steps = frozen_steps(run)
    maps = list(latent_maps(run, pictures + held_out))
    for size in features:
        contexts = default_spec(run.channels, (size, size))
        with tempfile.TemporaryDirectory() as folder:
            data = fit_contexts(
                maps[held_out:],
                [],
                steps,
                ROUNDING,
                tile=run.tile // STRIDE,
                trained=(Path(folder) / File.CONTEXTS.filename, Path(folder) / File.REFERENCES.filename),
                budget=budget,
                spec=contexts,
            )
        macs = macs_per_pixel(contexts, min(PREDICTED, contexts.layers[0]))
        yield Size(size, macs, savings(data, maps[:held_out], QUALITIES))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each size; return the exit code."""
    parser = argparse.ArgumentParser(
        description="Fit context models of several sizes and print what they save."
    )
    parser.add_argument("codec", choices=sorted(ENCODERS))
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0, help="of training for each size (%(default)s)")
    parser.add_argument("--pictures", type=int, default=240, help="that are fitted on (%(default)s)")
    options = parser.parse_args(arguments)
    run = Run(options.codec, options.photos, options.run)
    try:
        print("features  multiply-adds/pixel  saved at quality " + "  ".join(f"{q:5}" for q in QUALITIES))
        for size in sizes(run, Budget(options.minutes), pictures=options.pictures):
            first, second = size.features
            row = "  ".join(f"{saved:5.1%}" for saved in size.saved.values())
            print(f"{first:3}/{second:<4} {size.macs_per_pixel:20.1f} {'':17} {row}", flush=True)
    except HeliographError as error:
        print(f"context_curve: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
