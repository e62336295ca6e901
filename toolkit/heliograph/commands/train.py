"""Train a codec on a folder of photographs: int8 encoder, entropy tables, server and preview decoders."""

from __future__ import annotations

import argparse
import importlib
import math
from pathlib import Path

from heliograph import chatter
from heliograph.codec import registry
from heliograph.codec.codec import MANIFEST, Codec
from heliograph.commands.console import Console
from heliograph.commands.quantities import above_zero, count, seed
from heliograph.errors import OutputError, RuntimeUnavailableError, TrainingError, cause
from heliograph.extras import install
from heliograph.samples import copy_samples

NAME = "train"
HELP = "make a codec from a folder of photographs"
STAGES = ("float", "qat", "freeze", "tables", "decoder", "preview")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--codec",
        default="accelerator",
        metavar="NAME",
        help="its architecture (%(default)s); or, with --stage decoder, the folder of a finished codec, "
        "whose server decoder is trained further",
    )
    parser.add_argument(
        "--start",
        metavar="NAME_OR_DIR",
        help="a finished codec to begin at instead of the DCT",
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="folder of pictures; default: the sample pictures of scikit-image",
    )
    parser.add_argument(
        "--sites",
        type=Path,
        metavar="DIR",
        help="folder of folders, each with the pictures of one fixed camera in order: what site memory learns from",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the run: checkpoints and codec"
    )
    parser.add_argument(
        "--minutes",
        type=above_zero,
        default=60.0,
        metavar="N",
        help="wall clock of the trained stages; other work adds some minutes (%(default)g)",
    )
    parser.add_argument(
        "--steps", type=count, metavar="N", help="of each stage, instead of --minutes: repeatable by the seed"
    )
    parser.add_argument(
        "--stop-after",
        type=above_zero,
        default=math.inf,
        metavar="N",
        help="minutes after which this call stops wherever it is; the next one goes on with --resume",
    )
    parser.add_argument("--stage", choices=STAGES, help="run this stage only; default: all that are not done")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--seed", type=seed, default=1, metavar="N", help="of all randomness (%(default)s)")
    parser.add_argument("--batch", type=count, default=6, metavar="N", help="crops per step (%(default)s)")
    parser.add_argument(
        "--decoder",
        choices=("small", "medium", "large"),
        help="of the server: 14, 37 or 139 thousand multiply-adds a pixel; default: medium, or a finished codec's own",
    )
    parser.add_argument(
        "--learning-rate", type=above_zero, default=5e-4, metavar="X", help="at the peak (%(default)g)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train; return the exit code."""
    console = Console.of(arguments)
    try:
        with chatter.held():
            stages = importlib.import_module("heliograph.train.stages")
            existing = importlib.import_module("heliograph.train.existing")
            runs = importlib.import_module("heliograph.train.run")
            loop = importlib.import_module("heliograph.train.loop")
            known = importlib.import_module("heliograph.train.networks").ENCODERS
            decoder = importlib.import_module("heliograph.server.decoder")
            decoders = importlib.import_module("heliograph.server.network").DECODERS
    except Exception as error:  # a framework that does not fit its numpy, protobuf or driver raises anything
        raise RuntimeUnavailableError(
            f"training needs Keras and TensorFlow ({cause(error)}): {install('train')}"
        ) from error
    finished = Codec(Path(arguments.codec)) if (Path(arguments.codec) / MANIFEST).is_file() else None
    if finished is None and arguments.codec not in known:
        raise TrainingError(
            f"no codec {arguments.codec!r} can be trained: choose from {', '.join(known)}, "
            "or give a codec's folder with --stage decoder"
        )
    if finished is not None and arguments.stage != "decoder":
        raise TrainingError(
            f"{arguments.codec} is a finished codec: its encoder and tables are frozen, only its server decoder "
            "learns on (--stage decoder); give an architecture's name to train a new codec"
        )
    begin = registry.open_codec(arguments.start) if arguments.start else None
    if finished is not None and begin is not None:
        raise TrainingError("--start begins a new codec, and --codec names a finished one: give one of them")
    shape = arguments.decoder or "medium"
    try:
        training = runs.Run(
            codec=arguments.codec,
            photos=arguments.photos or copy_samples(arguments.out / "photos"),
            sites=arguments.sites,
            folder=arguments.out,
            resume=arguments.resume,
            seed=arguments.seed,
            batch=arguments.batch,
            learning_rate=arguments.learning_rate,
            decoder=decoders[shape]
            if finished is None or arguments.decoder
            else decoder.decoder_spec(finished),
        )
        if finished is not None:
            budget = loop.Budget(arguments.minutes, arguments.steps)
            folder = existing.improve_decoder(finished, training, budget)
        else:
            folder = stages.train(
                training,
                arguments.minutes,
                stage=arguments.stage,
                steps=arguments.steps,
                stop_after=arguments.stop_after,
                begin=begin,
                say=console.note,
            )
    except loop.Paused as pause:
        console.result(
            {"codec": None, "paused": str(pause)}, f"{pause}; the same command with --resume goes on"
        )
        return 0
    except OutputError as error:
        raise OutputError(f"training stopped: {error}; then run the same command with --resume") from error
    except OSError as error:
        raise OutputError(
            f"training stopped: {error.strerror or error} in {arguments.out}; "
            "free some space, then run the same command with --resume"
        ) from error
    console.result(
        {"codec": folder and str(folder), "paused": None},
        f"codec in {folder}" if folder else "done; the codec needs the other stages and conversions too",
    )
    return 0
