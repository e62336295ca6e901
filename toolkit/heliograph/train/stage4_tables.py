"""Stage `tables`: dead zone, contexts and tables, on the frozen encoder's latents of training pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from heliograph.codec.tiles import STRIDE
from heliograph.files import write_whole
from heliograph.server.compiled import LATENT_UNIT
from heliograph.server.decoder import to_pixels
from heliograph.server.network import build_decoder
from heliograph.train import checkpoint, loop
from heliograph.train.context_fit import default_layers, fit_contexts
from heliograph.train.context_network import ContextSpec
from heliograph.train.dead_zone import fit_rounding
from heliograph.train.run import File, Run
from heliograph.train.stage3_freeze import frozen_encoder, frozen_steps

# Features of the context model: what the accelerator's host can spend per symbol is worth 3 % of the bytes.
CONTEXT_FEATURES = {"accelerator": (16, 32), "microcontroller": (8, 16)}
ROUNDING_PICTURES = 12  # crops that the dead zone is fitted on
ROUNDING_SIDE = 384  # pixels on a side of them


def latent_maps(run: Run, count: int) -> Iterator[npt.NDArray[np.int8]]:
    """Yield latent maps int8 [h, w, C] of whole training pictures, balanced, flipped and scaled as in training."""
    encoder, photos = frozen_encoder(run), run.crops("tables")
    for number in range(count):
        rng = np.random.default_rng((photos.seed, number))
        yield encoder.latents(photos.whole(photos.draw(rng), rng, least=STRIDE))


def run_rounding(run: Run) -> npt.NDArray[np.uint8]:
    """Return the dead zone that suits a run's encoder and joint decoder, uint8 [101]."""
    decoder = build_decoder(run.decoder, run.spec.latent)
    checkpoint.load(run.need(File.DECODER_START), decoder)
    encoder, photos = frozen_encoder(run), run.crops("dead zone", size=ROUNDING_SIDE)
    pictures = [photos.crop(np.random.default_rng((photos.seed, i))) for i in range(ROUNDING_PICTURES)]

    def decode(values: npt.NDArray[np.float64], quality: int) -> npt.NDArray[np.uint8]:
        latents = (values[None] / LATENT_UNIT).astype(np.float32)
        shown = decoder([latents, np.full((1, 1), quality / 100, np.float32)])
        return to_pixels(np.asarray(shown)[0])

    return fit_rounding([encoder.latents(p) for p in pictures], pictures, frozen_steps(run), decode)


def fit_tables(run: Run, budget: loop.Budget) -> None:
    """Fit a run's entropy model; leave File.ENTROPY."""
    model = fit_contexts(
        latent_maps(run, run.table_pictures),
        frozen_steps(run),
        run_rounding(run),
        tile=run.spec.tile // STRIDE,
        trained=run.path(File.CONTEXTS),
        budget=budget,
        seed=run.seed,
        spec=ContextSpec(default_layers(run.spec.latent), CONTEXT_FEATURES[run.codec]),
        resume=run.resume,
    )
    write_whole(run.path(File.ENTROPY), model)
