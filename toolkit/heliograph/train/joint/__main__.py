"""Train encoder, contexts and decoder for the eye, or go on: python -m heliograph.train.joint --help.

It trains the accelerator's next encoder. What it leaves is a float checkpoint and its log, not yet a codec.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from heliograph.errors import HeliographError, TrainingError
from heliograph.server.network import DecoderSpec, build_decoder
from heliograph.train import loop
from heliograph.train.joint.encoder import OverlapSpec, build_overlapping
from heliograph.train.joint.objective import Joint
from heliograph.train.joint.world import World

# Shares of the learning rate; see loop.Adam. Adam moves every weight by the rate whatever its size, and the linear path
# from pixels to pixels has to be exact to a percent for 40 dB. The last reads many positive inputs and writes small
# outputs.
LAYER_SCALES = {
    "chain2": 0.1,
    "chain4": 0.1,
    "chain8": 0.15,
    "latent": 0.2,
    "inverse": 0.15,
    "branch16": 0.2,
}
STEPS_PER_ROUND = 200  # steps between two log lines


def joint_model(spec: OverlapSpec, decoder: DecoderSpec, *, seed: int, size: int = 160) -> Joint:
    """Return the model with random weights, its variables made by a call with a crop of `size` pixels."""
    keras.utils.set_random_seed(seed)
    model = Joint(build_overlapping(spec), build_decoder(decoder, spec.latent), seed=seed)
    model({"image": np.zeros((1, size, size, 3), np.uint8), "quality": np.zeros((1, 1), np.float32)})
    return model


def folder_share(text: str) -> tuple[Path, float]:
    """Return folder and share of SHARE:DIR; TrainingError if it is not of that form."""
    share, colon, folder = text.partition(":")
    try:
        number = float(share)
    except ValueError:
        number = math.nan
    if not colon or not 0 < number <= 1:
        raise TrainingError(
            f"--photos is {text!r}, expected SHARE:DIR with a share above 0 and up to 1, as 0.9:photos"
        )
    return Path(folder), number


def main(arguments: Sequence[str] | None = None) -> int:
    """Train until the minutes are over; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--photos", action="append", required=True, metavar="SHARE:DIR", help="may be given again"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="its joint.npz is gone on from where there is one"
    )
    parser.add_argument("--minutes", type=float, required=True, help="of the whole run, over all calls")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="minutes of this call")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--size", type=int, default=160, help="pixels on a side of a crop, a multiple of 32")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    try:
        folders = dict(folder_share(text) for text in options.photos)
        seed = options.seed * 100 + 1
        world = World(folders, batch=options.batch, size=options.size, steps=STEPS_PER_ROUND, seed=seed)
        loop.train(
            joint_model(OverlapSpec(), DecoderSpec(), seed=options.seed, size=options.size),
            world,
            options.out / "joint.npz",
            budget=loop.Budget(options.minutes, None, time.monotonic() + 60 * options.stop_after),
            peak=options.learning_rate,
            resume=True,
            scales=LAYER_SCALES,
        )
    except loop.Paused as pause:
        print(f"joint: {pause}; the same line goes on", file=sys.stderr)
    except HeliographError as error:
        print(f"joint: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
