"""A whole training run: the stages in order, each resumable, and the codec folder at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import keras

from heliograph.codec.codec import Codec
from heliograph.errors import TrainingError
from heliograph.server.compiled import on_gpu
from heliograph.train import existing, fitting, stages
from heliograph.train.assembly import assemble
from heliograph.train.loop import Budget
from heliograph.train.stages import Plan
from heliograph.train.start import write_start

# Each stage with its share of the minutes; those without a share take what they take.
SHARES: dict[str, float] = {
    "float": 0.41,
    "qat": 0.13,
    "freeze": 0.0,
    "tables": 0.03,
    "decoder": 0.31,
    "preview": 0.12,
}


def set_precision() -> None:
    """Compute in bfloat16 where there is a GPU; what needs float32 says so itself."""
    keras.config.set_dtype_policy("mixed_bfloat16" if on_gpu() else "float32")


def improve(
    codec: Codec, plan: Plan, minutes: float, *, resume: bool = False, steps: int | None = None
) -> Path:
    """Train a finished codec's server decoder further; see `existing.improve_decoder`."""
    set_precision()
    return existing.improve_decoder(codec, plan, Budget(minutes, steps), resume=resume)


def train(
    plan: Plan,
    minutes: float,
    *,
    stage: str | None = None,
    resume: bool = False,
    steps: int | None = None,
    stop_after: float = math.inf,
    begin: Codec | None = None,
) -> Path | None:
    """Run all stages, or one; return the codec folder once everything it needs is there.

    Args:
        plan: what to train on what, and where to leave it.
        minutes: for all trained stages together, or for the one named.
        stage: a key of SHARES, or None for all in order.
        resume: go on from the stage's checkpoint; stages that are done are passed over.
        steps: of each trained stage instead of minutes; a seed then gives the same run.
        stop_after: minutes after which this call stops wherever it is, for a resumed one to go on.
        begin: a finished codec to begin at instead of the DCT, unless the run has begun. Its encoder is trained
            on with its roundings in place: there is no stage `float`, whose minutes `qat` has too.

    Raises:
        Paused: `stop_after` minutes are over and a stage is not.
        TrainingError: an unknown stage, no pictures, an earlier stage missing, or a loss that is not finite.
        ConversionError: the trained network does not convert as promised.
    """
    if stage is not None and stage not in SHARES:
        raise TrainingError(f"no stage {stage!r}: choose from {', '.join(SHARES)}")
    work: dict[str, Callable[[Budget], object]] = {
        "float": lambda b: stages.train_float(plan, b, resume=resume),
        "qat": lambda b: stages.train_qat(plan, b, resume=resume),
        "freeze": lambda b: fitting.freeze(plan, resume=resume),
        "tables": lambda b: fitting.fit_entropy(plan, b, resume=resume),
        "decoder": lambda b: fitting.train_decoder(plan, b, resume=resume),
        "preview": lambda b: fitting.train_preview(plan, b, resume=resume),
    }
    set_precision()
    deadline = time.monotonic() + stop_after * 60
    if begin is not None and not (plan.out / stages.START).is_file():
        write_start(begin, plan)
    shares = dict(SHARES)
    if stages.begins_at_codec(plan):
        if stage == "float":
            raise TrainingError(
                f"{plan.out} began at a finished codec and has no stage float; its first is qat, or use another folder"
            )
        shares["qat"] += shares.pop("float")
    for name in [stage] if stage else shares:
        work[name](Budget(minutes * (1.0 if stage else shares[name]), steps, deadline))
    done = all(
        (plan.out / n).is_file()
        for n in ("encoder.tflite", "entropy.bin", "decoder_fitted.npz", "decoder.tflite")
    )
    return assemble(plan) if done else None
