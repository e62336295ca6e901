"""Putting a codec folder together from what the stages left: files, hashes, and how it was made."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np

from heliograph.codec.codec import ENCODER, ENTROPY, MANIFEST, PREVIEW, SERVER, codec_id, sha256
from heliograph.files import write_whole
from heliograph.pictures import list_pictures
from heliograph.server.decoder import store_weights
from heliograph.server.network import DecoderSpec, build_decoder, decoder_macs_per_pixel
from heliograph.train import loop
from heliograph.train.fitting import FROZEN, last_row
from heliograph.train.networks import ENCODERS, build_encoder, encoder_macs_per_pixel
from heliograph.train.preview import preview_macs_per_pixel
from heliograph.train.rate_distortion import LAMBDA_HIGH, LAMBDA_LOW
from heliograph.train.stages import ORIGIN, Plan


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


def assemble(plan: Plan) -> Path:
    """Write the codec folder `codec` beside the checkpoints of a run whose stages are done, and return it.

    Its folder `training` has what a later run needs to go on: weights in float16 and the logs.
    """
    spec, out = ENCODERS[plan.codec], plan.out / "codec"
    out.mkdir(exist_ok=True)
    decoder = build_decoder(plan.decoder, spec.latent)
    loop.load_weights(plan.out / "decoder_fitted.npz", decoder)
    files = {
        ENCODER: (plan.out / "encoder.tflite").read_bytes(),
        ENTROPY: (plan.out / ENTROPY).read_bytes(),
        PREVIEW: (plan.out / "decoder.tflite").read_bytes(),
        SERVER: store_weights(decoder),
    }
    logs = {p.stem: last_row(p) for p in sorted(plan.out.glob("*.csv"))}
    manifest: dict[str, Any] = {
        "name": plan.codec,
        "architecture": plan.codec,
        "id": codec_id(files[ENCODER], files[ENTROPY]).hex(),
        "tile": spec.tile,
        "channels": spec.latent,
        "files": {name: sha256(data) for name, data in files.items()},
        "encoder": {
            "middle": spec.middle,
            "branch": spec.branch,
            "parameters": int(build_encoder(spec).count_params()),
            "kmac_per_pixel": round(encoder_macs_per_pixel(spec) / 1000, 2),
        },
        "server_decoder": describe_decoder(plan.decoder, decoder, spec.latent),
        "preview_decoder": {"kmac_per_pixel": round(preview_macs_per_pixel(spec.latent) / 1000, 1)},
        "recipe": {
            "seed": plan.seed,
            "batch": plan.batch,
            "crop": plan.size,
            "learning_rate": plan.learning_rate,
            "lambda": [LAMBDA_LOW, LAMBDA_HIGH],
            "stages": logs,
            "backend": keras.backend.backend(),
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
        "photos": describe_photos(plan.photos),
    }
    if (plan.out / ORIGIN).is_file():
        manifest["recipe"]["start"] = json.loads((plan.out / ORIGIN).read_text(encoding="utf-8"))
    kept = out / "training"
    kept.mkdir(exist_ok=True)
    for name, source in (("qat", FROZEN), ("contexts", "contexts.npz")):  # what another run starts at
        if (plan.out / source).is_file():
            write_whole(kept / f"{name}.npz", loop.weights_to_keep(plan.out / source))
    for log in plan.out.glob("*.csv"):
        write_whole(kept / log.name, log.read_bytes())
    for name, data in files.items():
        write_whole(out / name, data)
    write_whole(out / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
    return out
