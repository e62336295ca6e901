"""Putting a codec folder together from what the stages left: files, hashes, and how it was made."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from heliograph.codec.codec import ENCODER, ENTROPY, MANIFEST, PREVIEW, SERVER, codec_id, sha256
from heliograph.files import write_whole
from heliograph.pictures import list_pictures
from heliograph.server.decoder import store_weights
from heliograph.server.network import DecoderSpec, decoder_macs_per_pixel
from heliograph.train import checkpoint
from heliograph.train.networks import build_encoder, encoder_macs_per_pixel
from heliograph.train.objective import LAMBDAS
from heliograph.train.preview_network import preview_macs_per_pixel
from heliograph.train.run import KEPT, TRAINING, File, Run, effort
from heliograph.train.stage3_freeze import latent_copies
from heliograph.train.stage5_decoder import fitted_decoder


def describe_photos(folder: Path) -> dict[str, Any]:
    """Return counts of the training pictures, by source and licence where the folder has an index.csv."""
    described: dict[str, Any] = {"pictures": len(list_pictures(folder))}
    index = folder / "index.csv"
    if index.is_file():
        with index.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        for column in ("source", "license", "licence"):
            if rows and column in rows[0]:
                described[column] = dict(Counter(row[column] for row in rows).most_common())
    return described


def describe_decoder(spec: DecoderSpec, decoder: keras.Model, latent: int) -> dict[str, Any]:
    """Return a server decoder's entry in the manifest."""
    return {
        "widths": list(spec.widths),
        "blocks": list(spec.blocks),
        "parameters": int(decoder.count_params()),
        "kmac_per_pixel": round(decoder_macs_per_pixel(spec, latent) / 1000, 1),
    }


def assemble(run: Run) -> Path:
    """Write the codec folder `codec` beside the checkpoints of a complete run, and return it.

    Its folder `training` has what a later run needs to go on: weights in float16 and the logs.
    """
    spec, out = run.spec, run.folder / "codec"
    out.mkdir(exist_ok=True)
    decoder = fitted_decoder(run)
    files = {
        ENCODER: run.need(File.ENCODER).read_bytes(),
        ENTROPY: run.need(File.ENTROPY).read_bytes(),
        PREVIEW: run.need(File.PREVIEW).read_bytes(),
        SERVER: store_weights(decoder),
    }
    manifest: dict[str, Any] = {
        "name": run.codec,
        "architecture": run.codec,
        "id": codec_id(files[ENCODER], files[ENTROPY]).hex(),
        "tile": spec.tile,
        "channels": spec.latent,
        "files": {name: sha256(data) for name, data in files.items()},
        "encoder": {name: n for name, n in asdict(spec).items() if name not in {"latent", "tile"}}
        | {
            "latent_copies": list(latent_copies(run)),
            "parameters": int(build_encoder(spec).count_params()),
            "kmac_per_pixel": round(encoder_macs_per_pixel(spec) / 1000, 2),
        },
        "server_decoder": describe_decoder(run.decoder, decoder, spec.latent),
        "preview_decoder": {"kmac_per_pixel": round(preview_macs_per_pixel(spec.latent) / 1000, 1)},
        "recipe": describe_recipe(run),
        "photos": describe_photos(run.photos),
    }
    keep_training(run, out)
    for name, data in files.items():
        write_whole(out / name, data)
    write_whole(out / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
    return out


def describe_recipe(run: Run) -> dict[str, Any]:
    """Return how a run was trained, for the manifest."""
    recipe: dict[str, Any] = {
        "seed": run.seed,
        "batch": run.batch,
        "crop": run.size,
        "learning_rate": run.learning_rate,
        "objective": "eye",
        "lambda": list(LAMBDAS),
        "stages": {log.stem: effort(log) for log in run.logs()},
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
        "numpy": np.__version__,
    }
    if run.has(File.ORIGIN):
        recipe["start"] = json.loads(run.path(File.ORIGIN).read_text(encoding="utf-8"))
    return recipe


def keep_training(run: Run, codec: Path) -> None:
    """Copy to a codec folder what another run starts at, in float16, and the logs."""
    folder = codec / TRAINING
    folder.mkdir(exist_ok=True)
    for file, source in KEPT.items():
        if run.has(source):
            write_whole(folder / file.filename, checkpoint.to_keep(run.path(source)))
    for log in (*run.logs(), *run.curves()):
        write_whole(folder / log.name, log.read_bytes())
