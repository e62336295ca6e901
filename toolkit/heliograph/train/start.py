"""A run that starts at a finished codec: its encoder, steps, contexts and joint decoder as stage `qat` left them.

A smaller one, without a branch, starts at the part of them that matters most; see `reduction`.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from heliograph.codec.codec import Codec
from heliograph.errors import TrainingError
from heliograph.files import write_whole
from heliograph.train import checkpoint
from heliograph.train.existing import encoder_spec
from heliograph.train.reduction import reduce
from heliograph.train.run import TRAINING, File, Run, kept_checkpoint
from heliograph.train.stage1_float import new_model


def write_start(codec: Codec, run: Run) -> None:
    """Write a run's starting point, from which stage `qat` goes on, or `float` where it is a part of the codec.

    Raises:
        TrainingError: the codec keeps no checkpoint, or its encoder has another shape than the run's.
    """
    spec, wanted = encoder_spec(codec), run.spec
    is_part = wanted.latent < spec.latent and not wanted.has_branch
    if not is_part and spec not in (
        wanted,
        wanted.without_latent_copies(),
    ):  # stage qat adds copies of latents
        raise TrainingError(
            f"the encoder of codec {codec.name} has the shape {asdict(spec)}, that of {run.codec} {asdict(wanted)}: "
            "a start must have the same, or more latents if there is no branch; leave --start out to begin at the DCT"
        )
    source = kept_checkpoint(codec, File.QAT)
    if not source.is_file():
        raise TrainingError(
            f"codec {codec.name} has no {TRAINING}/{source.name} to start from: give one that kept it, "
            "or leave --start out to begin at the DCT"
        )
    run.folder.mkdir(parents=True, exist_ok=True)
    if is_part:
        model = new_model(run)
        reduce(codec, model, run)
        checkpoint.save(run.path(File.REDUCED), model)
    else:
        write_whole(run.path(File.START), checkpoint.as_start(source))
    origin = {"codec": codec.name, "id": codec.id.hex(), "recipe": codec.manifest.get("recipe", {})}
    write_whole(run.path(File.ORIGIN), (json.dumps(origin, indent=2) + "\n").encode())
