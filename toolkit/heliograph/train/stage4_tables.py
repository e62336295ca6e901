"""Stage `tables`: contexts and tables, on the frozen encoder's latents of training pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from heliograph.codec.levels import STEP_ROWS
from heliograph.codec.tiles import STRIDE
from heliograph.codec.values import Values
from heliograph.files import write_whole
from heliograph.train import loop, pairs
from heliograph.train.context_data import Pair
from heliograph.train.context_fit import default_spec, fit_contexts
from heliograph.train.run import File, Run
from heliograph.train.stage3_freeze import frozen_encoder, frozen_steps

# Features of the context model, of pictures alone and with a reference: what the accelerator's host can spend per
# symbol is worth 3 % of the bytes.
CONTEXT_FEATURES = {"accelerator": ((12, 32), (12, 32)), "microcontroller": ((8, 16), (8, 16))}
# The dead zone without RDOQ, in 1/256 of a step; fitted ones were 104 to 120 and saved nothing over this.
ROUNDING = np.full(STEP_ROWS, 110, np.uint8)
PAIR_SIDE = 544  # pixels on a side of a made pair, at most


def latent_maps(run: Run, count: int) -> Iterator[Values]:
    """Yield latent maps int16 [h, w, C] of whole training pictures, balanced, flipped and scaled as in training."""
    encoder, photos = frozen_encoder(run), run.crops("tables")
    for number in range(count):
        rng = np.random.default_rng((photos.seed, number))
        yield encoder.latents(photos.whole(photos.draw(rng), rng, least=STRIDE))


def latent_pairs(run: Run, count: int) -> Iterator[Pair]:
    """Yield latent maps of an earlier and a later picture: pairs made of photographs, then those of the run's sites."""
    encoder, photos = frozen_encoder(run), run.crops("pairs")
    for number in range(count):
        rng = np.random.default_rng((photos.seed, number))
        picture = photos.whole(photos.draw(rng), rng, least=STRIDE)
        height, width = (min(n, PAIR_SIDE) for n in picture.shape[:2])
        y, x = (int(rng.integers(n - m + 1)) for n, m in zip(picture.shape, (height, width), strict=False))
        cut = picture[y : y + height, x : x + width]
        before, now = pairs.made_pair(cut, photos.picture(photos.draw(rng)), rng)
        yield encoder.latents(before), encoder.latents(now)
    if run.sites is not None:
        for before, now in pairs.site_pairs(run.sites):
            yield encoder.latents(before), encoder.latents(now)


def fit_tables(run: Run, budget: loop.Budget) -> None:
    """Fit a run's entropy model; leave File.ENTROPY."""
    model = fit_contexts(
        latent_maps(run, run.table_pictures),
        latent_pairs(run, run.table_pictures),
        frozen_steps(run),
        ROUNDING,
        tile=run.tile // STRIDE,
        trained=(run.path(File.CONTEXTS), run.path(File.REFERENCES)),
        budget=budget,
        seed=run.seed,
        spec=default_spec(run.channels, CONTEXT_FEATURES[run.codec]),
        resume=run.resume,
    )
    write_whole(run.path(File.ENTROPY), model)
