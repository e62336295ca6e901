"""The training loop: a budget in minutes or steps, checkpoints that resume, a CSV log, a progress bar."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from keras import ops

from heliograph import progress
from heliograph.errors import TrainingError
from heliograph.server.compiled import on_gpu
from heliograph.train import checkpoint
from heliograph.train.data import Supply

CHECKPOINT_SECONDS = 60.0
FEWEST_STEPS = 100  # of a budget in minutes, of which the first step's compilation may take all
VALIDATION_SECONDS = 600.0


@dataclass(frozen=True)
class Budget:
    """How long a stage trains: `steps` when given (repeatable by a seed), else `minutes` of wall clock.

    However few the minutes, it takes FEWEST_STEPS.

    At `deadline`, in seconds of time.monotonic(), it stops wherever it is, to be resumed.
    """

    minutes: float
    steps: int | None = None
    deadline: float = math.inf

    def split(self, share: float) -> tuple[Budget, Budget]:
        """Return the first `share` of this budget and the rest."""
        first = None if self.steps is None else max(1, round(self.steps * share))
        rest = None if self.steps is None or first is None else max(1, self.steps - first)
        return (
            replace(self, minutes=self.minutes * share, steps=first),
            replace(self, minutes=self.minutes * (1 - share), steps=rest),
        )


class Paused(Exception):
    """A deadline came before a stage's end; its checkpoint is written."""


def set_precision() -> None:
    """Compute in bfloat16 where there is a GPU; what needs float32 says so itself. Channels are last everywhere."""
    keras.config.set_image_data_format("channels_last")  # whatever ~/.keras/keras.json says
    keras.config.set_dtype_policy("mixed_bfloat16" if on_gpu() else "float32")


def learning_rate(progress: float, peak: float) -> float:
    """Return the rate at progress in [0, 1]: a ramp over 1 %, constant to a half, a cosine to 1 % of the peak."""
    if progress < 0.5:
        return peak * min(1.0, 0.01 + progress / 0.01)
    return float(peak * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * (progress - 0.5) / 0.5))))


class Adam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam whose step is scaled for variables of named layers.

    Adam moves every weight by the learning rate whatever its gradient; where hundreds of inputs are all
    positive, after ReLUs, those moves add up. Unscaled, the branch's first steps threw the latents by several
    times their deviation, and what repaired that switched all of the branch's units off for good.
    """

    def __init__(self, *args: object, scales: dict[str, float], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.scales = scales

    def update_step(self, gradient: object, variable: object, learning_rate: object) -> None:
        # Backends pass their own variables; the optimizer's list has the Keras ones, with their paths.
        known = self._trainable_variables[self._get_variable_index(variable)]
        scale = self.scales.get(known.path.split("/")[-2], 1.0)
        super().update_step(gradient, variable, ops.multiply(learning_rate, scale))


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the learning rate from the progress, stops at the budget, logs and saves."""

    def __init__(
        self,
        path: Path,
        budget: Budget,
        peak: float,
        done: dict[str, float],
        validate: Callable[[int, float], None] | None,
    ) -> None:
        super().__init__()
        self.path, self.budget, self.peak, self.validate = path, budget, peak, validate
        self.step = int(done.get("step", 0))
        self.before = done.get("seconds", 0.0)
        self.began = self.saved = self.validated = time.monotonic()
        self.sums: dict[str, list[float]] = {}
        self.bar = progress.bar(
            100, path.stem, disable=False, unit="%", bar_format="{desc} {percentage:3.0f}%|{bar}| {postfix}"
        )
        self.log = path.with_suffix(".csv").open("a", newline="", encoding="utf-8")
        self.writer = csv.writer(self.log)
        if self.log.tell() == 0:
            self.writer.writerow(["step", "seconds", "learning_rate", "loss", "bpp", "psnr"])

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.began

    @property
    def progress(self) -> float:
        if self.budget.steps is not None:
            return min(1.0, self.step / max(1, self.budget.steps))
        return min(1.0, self.seconds / max(1e-9, self.budget.minutes * 60), self.step / FEWEST_STEPS)

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.budget.deadline

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        self.model.optimizer.learning_rate.assign(learning_rate(self.progress, self.peak))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.step += 1
        for key, value in (logs or {}).items():
            self.sums.setdefault(key, []).append(float(value))
        if not np.isfinite(self.sums["loss"][-1]):
            raise TrainingError(
                f"{self.path.stem}: the loss is {self.sums['loss'][-1]} at step {self.step}; "
                "resume from the last checkpoint with a lower learning rate (--learning-rate)"
            )
        progress = self.progress
        if time.monotonic() - self.saved > CHECKPOINT_SECONDS:
            self.save()
        if progress >= 1.0 or self.late:
            self.model.stop_training = True
        elif self.validate is not None and time.monotonic() - self.validated > VALIDATION_SECONDS:
            self.validate(self.step, self.seconds)
            self.validated = time.monotonic()

    def report(self) -> None:
        mean = {k: float(np.mean(v)) for k, v in self.sums.items()}
        self.sums.clear()
        rate = learning_rate(self.progress, self.peak)
        row = [f"{mean[k]:.4f}" if k in mean else "" for k in ("loss", "bpp", "psnr")]
        self.writer.writerow([self.step, round(self.seconds, 1), f"{rate:.3g}", *row])
        self.log.flush()
        progress = max(self.progress, 1e-6)
        left = self.seconds * (1 - progress) / progress
        self.bar.n = int(100 * progress)
        told = [f"loss {mean['loss']:.4f}"] if "loss" in mean else []
        told += [f"bpp {mean['bpp']:.3f}"] if "bpp" in mean else []  # which not every stage has
        told += [f"PSNR {mean['psnr']:.2f} dB"] if "psnr" in mean else []
        told += [f"step {self.step}", f"left {left:.0f} s" if left < 90 else f"left {left / 60:.0f} min"]
        self.bar.set_postfix_str(" ".join(told))

    def save(self) -> None:
        self.report() if self.sums else None
        self.saved = time.monotonic()
        checkpoint.save(self.path, self.model, self.model.optimizer, step=self.step, seconds=self.seconds)

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        if self.sums:
            self.report()

    def close(self) -> None:
        self.bar.close()
        self.log.close()


def train(
    model: keras.Model,
    data: Supply,
    path: Path,
    *,
    budget: Budget,
    peak: float,
    resume: bool,
    scales: dict[str, float] | None = None,
    validate: Callable[[int, float], None] | None = None,
) -> None:
    """Train a model whose loss is its own.

    Args:
        model: called with what `data` yields.
        path: of the checkpoint to leave, .npz (weights, optimiser, steps); its log lies beside it as .csv.
        budget: over all calls, when they resume.
        peak: learning rate.
        resume: go on from the checkpoint where there is one.
        scales: shares of the learning rate by layer; see `Adam`.
        validate: called with steps and seconds every VALIDATION_SECONDS, and once the budget is spent.

    Raises:
        TrainingError: the loss is not finite, or the checkpoint to resume from does not fit.
        Paused: the budget's deadline has come.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f"adam_{path.stem}"  # a name that resuming finds again
    optimizer = Adam(peak, clipnorm=1.0, name=name, scales=scales or {})
    # oneDNN's convolutions beat XLA's on a CPU; on a GPU XLA wins.
    jit = keras.backend.backend() != "tensorflow"
    model.compile(optimizer, jit_compile=jit)
    optimizer.build(model.trainable_variables)
    done = checkpoint.resume(path, model, optimizer) if resume and path.is_file() else {}
    watch = _Watch(path, budget, peak, done, validate)
    try:
        if done and watch.progress >= 1.0:
            return  # and leave the checkpoint's time as it is: later stages compare theirs with it
        while watch.progress < 1.0 and not watch.late:
            data.offset = watch.step
            model.fit(data, epochs=1, verbose=0, callbacks=[watch], shuffle=False)
        if watch.model is not None:  # not stopped before its first step
            watch.save()
        if watch.progress < 1.0:
            raise Paused(f"{path.stem} stopped at {watch.progress:.0%} of its budget")
        if validate is not None:
            validate(watch.step, watch.seconds)
    finally:
        watch.close()
