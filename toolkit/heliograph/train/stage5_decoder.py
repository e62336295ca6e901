"""Stage `decoder`: the server decoder on the frozen encoder's latents, from where joint training left it."""

from __future__ import annotations

import keras

from heliograph.server.network import build_decoder
from heliograph.train import checkpoint, loop
from heliograph.train.latents import latent_crops
from heliograph.train.objective import DecoderObjective
from heliograph.train.run import File, Run
from heliograph.train.stage1_float import LAYER_SCALES


def train_decoder(run: Run, budget: loop.Budget) -> None:
    """Train a run's server decoder; leave File.DECODER_FITTED."""
    keras.utils.set_random_seed(run.seed)
    decoder = build_decoder(run.decoder, run.channels)
    checkpoint.load(run.need(File.DECODER_START), decoder)
    loop.train(
        DecoderObjective(decoder),
        latent_crops(run, "decoder"),
        run.path(File.DECODER),
        budget=budget,
        peak=run.learning_rate,
        resume=run.resume,
        scales=LAYER_SCALES,  # six steps without cost 1.7 dB at the finest quality
    )
    checkpoint.save(run.path(File.DECODER_FITTED), decoder)


def fitted_decoder(run: Run) -> keras.Model:
    """Return the server decoder as the stage left it."""
    decoder = build_decoder(run.decoder, run.channels)
    checkpoint.load(run.need(File.DECODER_FITTED), decoder)
    return decoder
