"""A whole training run: the stages in order, each resumable, and the codec folder at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from heliograph.codec.codec import Codec
from heliograph.errors import TrainingError
from heliograph.train.assembly import assemble
from heliograph.train.loop import FEWEST_STEPS, Budget, set_precision
from heliograph.train.run import SHARES, Run
from heliograph.train.stage1_float import train_float
from heliograph.train.stage2_qat import train_qat
from heliograph.train.stage3_freeze import freeze
from heliograph.train.stage4_tables import fit_tables
from heliograph.train.stage5_decoder import train_decoder
from heliograph.train.stage6_preview import train_preview
from heliograph.train.start import write_start

LEAST_MINUTES = 30.0  # below, most stages end before they have learnt anything

STAGES: dict[str, Callable[[Run, Budget], object]] = {
    "float": train_float,
    "qat": train_qat,
    "freeze": lambda run, _: freeze(run),
    "tables": fit_tables,
    "decoder": train_decoder,
    "preview": train_preview,
}


def train(
    run: Run,
    minutes: float,
    *,
    stage: str | None = None,
    steps: int | None = None,
    stop_after: float = math.inf,
    begin: Codec | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Path | None:
    """Run all stages, or one; return the codec folder once everything it needs is there.

    Args:
        run: what to train on what, and where to leave it. Where it resumes, stages that are done are passed over.
        minutes: for all trained stages together, or for the one named.
        stage: a key of STAGES, or None for all in order.
        steps: of each trained stage instead of minutes; a seed then gives the same run.
        stop_after: minutes after which this call stops wherever it is, for a resumed one to go on.
        begin: a finished codec to begin at instead of the DCT, unless the run has begun. Its encoder is trained
            on with its roundings in place: there is no stage `float`, whose minutes `qat` has too.
        say: is told that the minutes are too few, or were not kept.

    Raises:
        Paused: `stop_after` minutes are over and a stage is not.
        TrainingError: an unknown stage, no pictures, an earlier stage missing, or a loss that is not finite.
        ConversionError: the trained network does not convert as promised.
    """
    if stage is not None and stage not in STAGES:
        raise TrainingError(f"no stage {stage!r}: choose from {', '.join(SHARES)}")
    set_precision()
    began = time.monotonic()
    deadline = began + stop_after * 60
    if begin is not None and not run.has_start:
        write_start(begin, run)
    if steps is None and minutes < LEAST_MINUTES and stage is None:
        say(
            f"{minutes:g} minutes show that training works, and make no codec to use: that takes hundreds; they take "
            "longer, too, as some work has no share in them"
        )
    shares = run.shares()
    if stage is not None:
        if stage not in shares:
            raise TrainingError(
                f"{run.folder} began at a finished codec and has no stage {stage}; its first is {next(iter(shares))}, "
                "or use another folder"
            )
        shares = {stage: 1.0}
    for name, share in shares.items():
        if not (run.resume and run.is_done(name)):
            STAGES[name](run, Budget(minutes * share, steps, deadline))
    folder = assemble(run) if run.is_complete else None
    took = (time.monotonic() - began) / 60
    if steps is None and took > 1.2 * minutes:
        say(
            f"this took {took:.1f} minutes and not {minutes:g}: a trained stage takes {FEWEST_STEPS} steps at least, "
            "and what is not trained (ranges, tables, conversions) takes its time besides"
        )
    return folder
