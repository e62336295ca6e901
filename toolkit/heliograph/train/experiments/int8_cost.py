"""What int8 costs: one model's encoder in float, quantised after training, and after quantisation-aware training.

    python -m heliograph.train.experiments.int8_cost --run RUN --images DIR

The three share the joint training's decoder and steps (the last one's have been trained on for the QAT stage's
minutes). Symbols are rounded to nearest and their bits counted as the entropy under one table per channel,
counted over all pictures: the float encoder has no stream, so none is used for the others.

A run that began at a finished codec has no training in float; there the float encoder is the last one with its
roundings left out.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from heliograph.codec import tiles
from heliograph.codec.values import UNIT
from heliograph.device.encoder import LatentEncoder
from heliograph.device.runtime import Model
from heliograph.measure import metrics
from heliograph.measure.curves import Point, bd_rate
from heliograph.measure.rate_distortion import baseline_rows, curve, means
from heliograph.measure.static_tables import ideal_bytes
from heliograph.pictures import load_folder
from heliograph.server.decoder import to_pixels
from heliograph.train import checkpoint
from heliograph.train.convert import convert
from heliograph.train.copies import mean_of_copies
from heliograph.train.networks import ENCODERS, EncoderSpec, fold_normalisation, without_rounding
from heliograph.train.objective import Joint, copies_of
from heliograph.train.run import File, Run
from heliograph.train.stage1_float import trained_float_model
from heliograph.train.stage2_qat import quantised_model, trained_model
from heliograph.train.tensors import Tensor

QUALITIES = (5, 20, 35, 50, 65, 80, 95)
Picture = npt.NDArray[np.uint8]
Latents = npt.NDArray[np.float32]
Encode = Callable[[Picture], Latents]  # uint8 [H, W, 3] to float32 [h, w, C] in the joint training's units


def float_encode(
    encoder: keras.Model, tile: int, unit: npt.NDArray[np.float32], copies: Tensor = None
) -> Encode:
    """Return a float encoder run on the device's tiles, its latents multiplied by `unit`, float32 [C]."""

    def encode(picture: Picture) -> Latents:
        out = np.empty((*tiles.latent_shape(picture.shape[1], picture.shape[0]), len(unit)), np.float32)
        for (rows, columns), part in tiles.cut(picture, tile):
            given = encoder(part[None].astype(np.float32) / np.float32(255))
            latents = np.asarray(mean_of_copies(given, copies))[0] * unit
            out[rows, columns] = latents[: rows.stop - rows.start, : columns.stop - columns.start]
        return out

    return encode


def int8_encode(model: Joint, spec: EncoderSpec) -> Encode:
    """Return a fake-quantised model's encoder, converted and run as int8 .tflite."""
    unit = np.asarray(model.unit.value)
    with tempfile.TemporaryDirectory() as folder:
        weights, out = (Path(folder) / f.filename for f in (File.ENCODER_WEIGHTS, File.ENCODER))
        checkpoint.save(weights, model.encoder)
        convert("encoder", spec, weights, out)
        encoder = LatentEncoder(
            Model(out.read_bytes()), tile=spec.tile, channels=spec.latent, copies=copies_of(model)
        )
    return lambda picture: encoder.latents(picture).astype(np.float32) / np.float32(128 * UNIT) * unit


def measure(model: Joint, encode: Encode, pictures: Sequence[Picture], quality: int) -> Point:
    """Return mean bits per pixel (entropy of the symbols) and mean PSNR of decoded pictures."""
    condition = np.full((1, 1), quality / 100, np.float32)
    step = np.asarray(model.steps(condition))[0]  # [C]
    symbols, decibels = [], []
    for picture in pictures:
        k = np.round(encode(picture) / step)
        height, width = picture.shape[:2]
        shown = np.asarray(model.decoder([(k * step)[None], condition], training=False))[0][:height, :width]
        decibels.append(metrics.psnr(picture, to_pixels(shown)))
        symbols.append(k.astype(np.int16))
    pixels = sum(p.shape[0] * p.shape[1] for p in pictures)
    return Point(8 * ideal_bytes(symbols) / pixels, float(np.mean(decibels)))


def encoders(run: Run) -> dict[str, tuple[Joint, Encode]]:
    """Return the models of a finished run, each with its encoder, the float one first."""
    spec, aware = run.spec, trained_model(run)
    last = {"int8, trained for it": (aware, int8_encode(aware, spec))}
    if run.begins_at_codec:
        plain, unit = without_rounding(aware.encoder, spec), np.asarray(aware.unit.value)
        return {"float": (aware, float_encode(plain, spec.tile, unit, aware.copies))} | last
    model = trained_float_model(run)
    plain = fold_normalisation(model.encoder, spec)
    after = quantised_model(run)
    return {
        "float": (model, float_encode(plain, spec.tile, np.ones(spec.latent, np.float32))),
        "int8, after training": (after, int8_encode(after, spec)),
    } | last


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a training run")
    parser.add_argument("--photos", type=Path, required=True, help="its training photographs")
    parser.add_argument("--images", type=Path, required=True, help="pictures to measure on")
    parser.add_argument("--codec", default="accelerator", choices=sorted(ENCODERS))
    a = parser.parse_args(arguments)
    pictures = load_folder(a.images)
    jpeg = curve(means(baseline_rows("jpeg", pictures)))
    curves: dict[str, list[Point]] = {}
    for name, (model, encode) in encoders(Run(codec=a.codec, photos=a.photos, folder=a.run)).items():
        curves[name] = [measure(model, encode, pictures, quality) for quality in QUALITIES]
        for quality, point in zip(QUALITIES, curves[name], strict=True):
            print(f"{name:<22} quality {quality:>3}  {point.bpp:6.3f} bpp  {point.db:6.2f} dB", flush=True)
    for name, points in curves.items():
        against = (
            "" if name == "float" else f", {100 * bd_rate(curves['float'], points)[0]:+.1f} % against float"
        )
        print(f"{name:<22} BD-rate {100 * bd_rate(jpeg, points)[0]:+.1f} % against JPEG{against}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
