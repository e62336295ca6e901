"""Bytes that contexts save against their multiply-adds: fits several sizes on a frozen encoder's latents.

    python -m heliograph.train.experiments.context_curve CODEC RUN PHOTOS [--minutes M]

CODEC is a key of ENCODERS, RUN the folder of a training run whose stage `tables` is done.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from heliograph.codec.codec import ENTROPY
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.tiles import STRIDE
from heliograph.errors import HeliographError
from heliograph.train import fitting
from heliograph.train.context_fit import PREDICTED, default_layers, fit_contexts, savings
from heliograph.train.contexts import ContextSpec, macs_per_pixel
from heliograph.train.fitting import latent_maps, need
from heliograph.train.loop import Budget
from heliograph.train.networks import ENCODERS
from heliograph.train.stages import Plan

FEATURES = ((4, 8), (8, 16), (12, 24), (16, 32))
QUALITIES = (10, 30, 50, 70, 90)
HELD_OUT = 24  # maps that are measured on and not fitted on


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
    chosen = parser.parse_args(arguments)
    plan = Plan(chosen.codec, chosen.photos, chosen.run)
    try:
        encoder, steps = ENCODERS[chosen.codec], fitting.steps(plan)
        rounding = EntropyModel.from_bytes(need(plan.out / ENTROPY, "tables").read_bytes()).rounding
        maps = list(latent_maps(plan, chosen.pictures + HELD_OUT, stage=3))
        print("features  multiply-adds/pixel  saved at quality " + "  ".join(f"{q:5}" for q in QUALITIES))
        for features in FEATURES:
            spec = ContextSpec(default_layers(encoder.latent), features)
            with tempfile.TemporaryDirectory() as out:
                data = fit_contexts(
                    maps[HELD_OUT:],
                    steps,
                    rounding,
                    tile=encoder.tile // STRIDE,
                    out=Path(out),
                    budget=Budget(chosen.minutes),
                    spec=spec,
                )
            macs = macs_per_pixel(spec, min(PREDICTED, spec.layers[0]))
            saved = savings(data, maps[:HELD_OUT], QUALITIES).values()
            row = "  ".join(f"{s:5.1%}" for s in saved)
            print(f"{features[0]:3}/{features[1]:<4} {macs:20.1f} {'':17} {row}", flush=True)
    except HeliographError as error:
        print(f"context_curve: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
