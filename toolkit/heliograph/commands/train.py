"""Train a codec on a folder of photographs: int8 encoder, entropy tables, server and preview decoders."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from heliograph.errors import OutputError, RuntimeUnavailableError, TrainingError
from heliograph.samples import copy_samples

NAME = "train"
HELP = "make a codec from a folder of photographs"
STAGES = ("float", "qat", "freeze", "tables", "decoder", "preview")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--codec", default="accelerator", metavar="NAME", help="its architecture (%(default)s)"
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="folder of pictures; default: the sample pictures of scikit-image",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the run: checkpoints and codec"
    )
    parser.add_argument(
        "--minutes", type=float, default=60.0, metavar="N", help="wall clock of all stages (%(default)g)"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="of each stage, instead of --minutes: repeatable by the seed"
    )
    parser.add_argument("--stage", choices=STAGES, help="run this stage only; default: all that are not done")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of all randomness (%(default)s)")
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="crops per step (%(default)s)")
    parser.add_argument(
        "--learning-rate", type=float, default=1e-3, metavar="X", help="at the peak (%(default)g)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train; return the exit code."""
    try:
        stages = importlib.import_module("heliograph.train.stages")
        training = importlib.import_module("heliograph.train.run")
        known = importlib.import_module("heliograph.train.networks").ENCODERS
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"training needs Keras and TensorFlow ({error}): pip install 'heliograph[train]'"
        ) from error
    if arguments.codec not in known:
        raise TrainingError(f"no codec {arguments.codec!r} can be trained: choose from {', '.join(known)}")
    try:
        plan = stages.Plan(
            codec=arguments.codec,
            photos=arguments.photos or copy_samples(arguments.out / "photos"),
            out=arguments.out,
            seed=arguments.seed,
            batch=arguments.batch,
            learning_rate=arguments.learning_rate,
        )
        folder = training.train(
            plan, arguments.minutes, stage=arguments.stage, resume=arguments.resume, steps=arguments.steps
        )
    except OutputError as error:
        raise OutputError(f"training stopped: {error}; then run the same command with --resume") from error
    except OSError as error:
        raise OutputError(
            f"training stopped: {error.strerror or error} in {arguments.out}; "
            "free some space, then run the same command with --resume"
        ) from error
    print(f"codec in {folder}" if folder else f"stage {arguments.stage} done; the codec needs the others too")
    return 0
