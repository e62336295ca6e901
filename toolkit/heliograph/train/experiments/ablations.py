"""What parts of the encoder are worth: each changed alone and trained in float for equally many steps.

    python -m heliograph.train.experiments.ablations --photos DIR --out RUNS [--sites DIR] [--codec NAME] [--steps N]

All start at the DCT, from the same seed on the same crops. What is compared is the loss itself, bits with contexts and
what the eye loses, on the crops of each class that training never sees. A variant that is done is read from RUNS, one
that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heliograph.train.loop import Budget, set_precision
from heliograph.train.networks import ENCODERS, UNITS, EncoderSpec
from heliograph.train.objective import Joint
from heliograph.train.run import File, Run
from heliograph.train.stage1_float import float_model, train_joint


@dataclass(frozen=True)
class Variant:
    """A row of the table: the encoder's shape, and whether its branch learns or stays silent."""

    name: str
    shape: EncoderSpec
    branch: bool = True


def variants(spec: EncoderSpec) -> tuple[Variant, ...]:
    """Return the variants of a shape, the one that others are compared with first."""
    of_all = (
        Variant("as it is", spec),
        Variant("a third fewer latent channels", replace(spec, latent=spec.latent * 2 // 3)),
    )
    if not spec.has_branch:
        return of_all
    return (
        *of_all,
        Variant("without the branch", spec, branch=False),
        Variant("half as many mixed channels", replace(spec, mixed=spec.mixed // 2)),
        Variant("nothing squeezed out of the chain", replace(spec, squeezed=1)),
    )


def variant_model(variant: Variant, run: Run) -> Joint:
    """Return a variant's model at its starting point."""
    model = float_model(run)
    if not variant.branch:
        for name in ("squeeze8", *UNITS, *(f"{unit}_norm" for unit in UNITS), "branch16"):
            model.encoder.get_layer(name).trainable = False  # and starts silent
    return model


def losses(variant: Variant, run: Run, steps: int) -> dict[str, float]:
    """Train a variant, or read what an earlier call left; return the loss of each class of pictures.

    Args:
        variant: what differs.
        run: the recipe; the variant's own folder lies in the run's.
        steps: of training.
    """
    name = "".join(c if c.isalnum() else "-" for c in variant.name)
    own = replace(run, folder=run.folder / name, shape=variant.shape, resume=True)
    curve = own.log(File.FLOAT).with_suffix(".classes.csv")
    rows: list[dict[str, str]] = []
    for _ in range(2):
        if curve.is_file():
            with curve.open(newline="", encoding="utf-8") as handle:
                rows = [row for row in csv.DictReader(handle) if int(row["step"]) == steps]
        if not rows:
            peak = run.learning_rate
            train_joint(variant_model(variant, own), own, File.FLOAT, Budget(0, steps), peak=peak)
    return {row["class"]: float(row["loss"]) for row in rows}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="training photographs")
    parser.add_argument("--sites", type=Path, help="pictures of fixed cameras")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--codec", default="accelerator", choices=sorted(ENCODERS))
    parser.add_argument("--steps", type=int, default=4000, help="of each variant (%(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="variants to train, beside the first")
    a = parser.parse_args(arguments)
    set_precision()
    run = Run(codec=a.codec, photos=a.photos, sites=a.sites, folder=a.out)
    known: dict[str, float] = {}
    for variant in variants(run.spec):
        if a.only and variant.name not in a.only and known:
            continue
        found = losses(variant, run, a.steps)
        known = known or found
        apart = {name: math.log(found[name] / known[name]) for name in found}
        worst = max(apart, key=lambda name: apart[name])
        mean = sum(apart.values()) / len(apart)
        print(f"{variant.name:<36} {mean:+7.2%} on average, {worst} {apart[worst]:+7.2%}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
