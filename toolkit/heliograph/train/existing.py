"""Going on from a finished codec: its files as the folder of a run, better decoders for it, new files into a copy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec.codec import ENTROPY, MANIFEST, MOST_BYTES, SERVER, Codec
from heliograph.errors import CodecError, TrainingError
from heliograph.files import read_regular, write_whole
from heliograph.server.decoder import decoder_spec, load_weights, store_weights
from heliograph.server.network import build_decoder
from heliograph.train import checkpoint, loop
from heliograph.train.assembly import describe_decoder
from heliograph.train.growth import grown
from heliograph.train.networks import EncoderSpec
from heliograph.train.run import TRAINING, File, Run, effort
from heliograph.train.stage3_freeze import write_steps
from heliograph.train.stage5_decoder import fitted_decoder, train_decoder

KEPT_SUFFIXES = {".csv", ".npz"}


def encoder_spec(codec: Codec) -> EncoderSpec:
    """Return the shape of a codec's encoder.

    Raises:
        TrainingError: the codec's manifest describes none of the form that is trained here.
    """
    entry = codec.manifest.get("encoder", {})
    try:
        counts = {name: int(entry[name]) for name in ("middle", "pooled", "squeezed", "mixed")}
        half, quarter, eighth = (int(n) for n in entry["copies"][:3])  # how many of latents, the list says
    except (KeyError, TypeError, ValueError):
        raise TrainingError(
            f"the encoder of codec {codec.name} has the form of an earlier way of training, which this version does "
            "not build: train a new codec without --start, or with the version of Heliograph that made it; its decoder "
            "and tables can be improved as ever (--stage decoder, calibrate)"
        ) from None
    return EncoderSpec(
        latent=codec.channels, tile=codec.tile, copies=(half, quarter, eighth, len(codec.copies)), **counts
    )


def steps_of(codec: Codec) -> npt.NDArray[np.uint16]:
    """Return a codec's steps uint16 [26, C] in the encoder's channel order."""
    model = codec.coder.model
    steps = np.empty_like(model.steps)
    steps[:, model.order] = model.steps
    return steps


def unpack(codec: Codec, run: Run) -> None:
    """Write a codec's encoder, tables, steps and decoder to a run's folder, as its stages would have left them.

    Where the run's decoder is larger than the codec's, that is grown to it; see `growth`.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    write_whole(run.path(File.ENCODER), codec.encoder)
    write_whole(run.path(File.ENTROPY), codec.read(ENTROPY))
    write_steps(run, steps_of(codec), codec.copies)
    spec = decoder_spec(codec)
    known = build_decoder(spec, codec.channels)
    load_weights(codec.read(SERVER), known)
    checkpoint.save(run.path(File.DECODER_START), grown(known, spec, run.decoder, seed=run.seed))


def write_copy(codec: Codec, out: Path, files: Mapping[str, bytes], changes: Mapping[str, Any]) -> Path:
    """Write a codec folder like another, `Codec.replaced`, with what another run starts at; return `out`."""
    out.mkdir(parents=True, exist_ok=True)
    contents = codec.replaced(files, changes)
    manifest = contents.pop(MANIFEST)
    for name, data in contents.items():
        write_whole(out / name, data)
    if codec.folder.resolve() != out.resolve():
        _copy_training(codec.folder / TRAINING, out / TRAINING)
    write_whole(out / MANIFEST, manifest)
    return out


def _copy_training(source: Path, out: Path) -> None:
    """Copy what another run starts at, and the logs: files alone, for no hash says what is behind a link."""
    if source.is_symlink() or not source.is_dir():
        return
    out.mkdir(exist_ok=True)
    with os.scandir(source) as entries:
        names = [e.name for e in entries if e.is_file(follow_symlinks=False)]
    for name in names:
        if Path(name).suffix in KEPT_SUFFIXES:
            try:
                data = read_regular(source / name, MOST_BYTES)
            except OSError as error:
                raise CodecError(
                    f"cannot read {source / name}: {error.strerror}; copy the codec folder again"
                ) from error
            write_whole(out / name, data)


def improve_decoder(codec: Codec, run: Run, budget: loop.Budget) -> Path:
    """Train a codec's server decoder further, or another shape of it, and return a codec folder with the same id.

    Args:
        codec: any; its encoder and tables stay as they are.
        run: of which the decoder is to be; `finished` is set.
        budget: of the training.
    """
    loop.set_precision()
    run = replace(run, finished=codec)
    if not (run.resume and run.has(File.DECODER_START)):
        unpack(codec, run)
    train_decoder(run, budget)
    decoder = fitted_decoder(run)
    recipe = dict(codec.manifest.get("recipe", {}))
    recipe["decoder_continued"] = [
        *recipe.get("decoder_continued", []),
        {"seed": run.seed, "batch": run.batch, "learning_rate": run.learning_rate}
        | effort(run.log(File.DECODER)),
    ]
    return write_copy(
        codec,
        run.folder / "codec",
        {SERVER: store_weights(decoder)},
        {"server_decoder": describe_decoder(run.decoder, decoder, codec.channels), "recipe": recipe},
    )
