"""The stages after the encoder is trained: freeze it, then fit tables and decoders on its real int8 latents."""

from __future__ import annotations

import csv
import importlib.util
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from heliograph.codec.codec import ENTROPY
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.tiles import STRIDE
from heliograph.device import runtime
from heliograph.device.encoder import LatentEncoder
from heliograph.errors import TrainingError
from heliograph.files import write_whole
from heliograph.server.compiled import LATENT_UNIT
from heliograph.server.decoder import to_pixels
from heliograph.server.network import build_decoder
from heliograph.train import loop, preview
from heliograph.train.context_data import Quantiser
from heliograph.train.context_fit import default_layers, fit_contexts
from heliograph.train.contexts import ContextSpec
from heliograph.train.convert import convert
from heliograph.train.latents import LatentCrops
from heliograph.train.networks import ENCODERS, without_rounding
from heliograph.train.quantisation import calibrate_ranges, make_room
from heliograph.train.reconstruction import Reconstruction
from heliograph.train.simulated import SimulatedEncoder
from heliograph.train.stages import Plan, pure_colours, quantised_model
from heliograph.train.steps import fit_rounding, integer_steps

FROZEN = "frozen.npz"  # stage qat's model as it was frozen, in whose units the codec's decoders are
ROUNDING_PICTURES = 12  # crops that the dead zone is fitted on
# Features of the context model: what the accelerator's host can spend per symbol is worth 3 % of the bytes.
CONTEXT_FEATURES = {"accelerator": (16, 32), "microcontroller": (8, 16)}
CROP = 192  # pixels on a side of a decoder's training crop
_log = logging.getLogger(__name__)


def need(path: Path, stage: str) -> Path:
    """Return a path that an earlier stage should have written; TrainingError naming the stage if it is missing."""
    if not path.is_file():
        raise TrainingError(f"{path} is missing: run stage {stage} first (--stage {stage})")
    return path


def _convert(kind: str, plan: Plan, weights: Path, out: Path) -> None:
    if importlib.util.find_spec("tensorflow") is None:  # a GPU machine with JAX: the rest can go on without
        _log.warning(
            "%s needs TensorFlow: run this stage again with --resume where it is installed", out.name
        )
        return
    convert(kind, plan.codec, weights, out)


def _newer(result: Path, source: Path) -> bool:
    return result.is_file() and source.is_file() and result.stat().st_mtime >= source.stat().st_mtime


def freeze(plan: Plan, *, resume: bool = False) -> None:
    """Stage `freeze`: the encoder as int8 .tflite, its steps as integers, the decoder in int8 latent units.

    With `resume` it is passed over where that is done already.
    """
    if resume and _newer(plan.out / "encoder.tflite", plan.out / "qat.npz"):
        return
    model = quantised_model(plan)
    loop.load_weights(need(plan.out / "qat.npz", "qat"), model)
    spec = ENCODERS[plan.codec]
    plain = without_rounding(model.encoder, spec, np.ones(spec.latent, np.float32))
    model.unit.assign(np.asarray(model.unit) * make_room(plain, pure_colours(64)))
    for layer in plain.layers:
        if layer.weights:
            model.encoder.get_layer(layer.name).set_weights(layer.get_weights())
    loop.save_weights(plan.out / "encoder.npz", model.encoder)
    loop.save_weights(plan.out / FROZEN, model)
    unit = np.asarray(model.unit.value, np.float64)
    quality = np.linspace(0, 1, 101, dtype=np.float32)[:, None]
    steps = integer_steps(np.asarray(model.steps(quality), np.float64), unit)
    buffer = io.BytesIO()
    np.savez(buffer, steps=steps, unit=unit)
    write_whole(plan.out / "steps.npz", buffer.getvalue())
    decoder = model.decoder
    inverse = decoder.get_layer("inverse")
    inverse.kernel.assign(np.asarray(inverse.kernel) * unit[:, None])
    norm = decoder.get_layer("latent_norm")
    norm.scale.assign(np.asarray(norm.scale) * unit)
    loop.save_weights(plan.out / "decoder_start.npz", decoder)
    _convert("encoder", plan, plan.out / "encoder.npz", plan.out / "encoder.tflite")


def frozen_encoder(plan: Plan) -> LatentEncoder:
    """Return the frozen int8 encoder on the first TFLite runtime, or simulated by Keras where there is none."""
    spec = ENCODERS[plan.codec]
    if not runtime.available():
        return SimulatedEncoder(plan.codec, need(plan.out / "encoder.npz", "freeze"))
    model = need(plan.out / "encoder.tflite", "freeze").read_bytes()
    return LatentEncoder(model, tile=spec.tile, channels=spec.latent, threads=2)


def steps(plan: Plan) -> npt.NDArray[np.uint16]:
    """Return the integer steps that `freeze` wrote, uint16 [101, C] in the encoder's channel order."""
    with np.load(need(plan.out / "steps.npz", "freeze")) as stored:
        return np.asarray(stored["steps"])


def latent_unit(plan: Plan) -> npt.NDArray[np.float64]:
    """Return what 128 int8 latent units are worth in joint training's units, float64 [C]."""
    with np.load(need(plan.out / "steps.npz", "freeze")) as stored:
        return np.asarray(stored["unit"])


def last_row(log: Path) -> dict[str, float]:
    """Return steps and seconds at the end of a stage's log."""
    with log.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    return {"steps": int(rows[-1]["step"]), "seconds": round(float(rows[-1]["seconds"]))} if rows else {}


def latent_maps(plan: Plan, count: int, *, stage: int) -> Iterator[npt.NDArray[np.int8]]:
    """Yield latent maps int8 [h, w, C] of whole training pictures, balanced, flipped and scaled as in training."""
    encoder = frozen_encoder(plan)
    photos = plan.crops(stage)
    for number in range(count):
        rng = np.random.default_rng((photos.seed, number))
        yield encoder.latents(photos.whole(photos.draw(rng), rng, least=STRIDE))


def fit_entropy(plan: Plan, budget: loop.Budget, *, resume: bool) -> None:
    """Stage `tables`: dead zone and entropy model from the latents of training pictures.

    With `resume` it is passed over where that is done already.
    """
    if resume and _newer(plan.out / ENTROPY, plan.out / "encoder.npz"):
        return
    spec = ENCODERS[plan.codec]
    model = fit_contexts(
        latent_maps(plan, plan.table_pictures, stage=3),
        steps(plan),
        _fit_rounding(plan, steps(plan)),
        tile=spec.tile // STRIDE,
        out=plan.out,
        budget=budget,
        seed=plan.seed,
        spec=ContextSpec(default_layers(spec.latent), CONTEXT_FEATURES[plan.codec]),
        resume=resume,
    )
    write_whole(plan.out / ENTROPY, model)


def _fit_rounding(plan: Plan, step: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    decoder = build_decoder(plan.decoder, ENCODERS[plan.codec].latent)
    loop.load_weights(need(plan.out / "decoder_start.npz", "freeze"), decoder)
    encoder, photos = frozen_encoder(plan), plan.crops(7, size=384)
    pictures = [photos.crop(np.random.default_rng((photos.seed, i))) for i in range(ROUNDING_PICTURES)]

    def decode(values: npt.NDArray[np.float64], quality: int) -> npt.NDArray[np.uint8]:
        latents = (values[None] / LATENT_UNIT).astype(np.float32)
        shown = decoder([latents, np.full((1, 1), quality / 100, np.float32)])
        return to_pixels(np.asarray(shown)[0])

    return fit_rounding([encoder.latents(p) for p in pictures], pictures, step, decode)


def _latent_crops(plan: Plan, stage: int) -> LatentCrops:
    rounding = EntropyModel.from_bytes(need(plan.out / ENTROPY, "tables").read_bytes()).rounding
    photos = plan.crops(stage, batch=max(1, plan.batch // 2), size=CROP)
    return LatentCrops(photos, frozen_encoder(plan), Quantiser(steps(plan), rounding), size=CROP)


def train_decoder(plan: Plan, budget: loop.Budget, *, resume: bool) -> None:
    """Stage `decoder`: the server decoder on the frozen encoder's latents, from where joint training left it."""
    keras.utils.set_random_seed(plan.seed)
    decoder = build_decoder(plan.decoder, ENCODERS[plan.codec].latent)
    loop.load_weights(need(plan.out / "decoder_start.npz", "freeze"), decoder)
    loop.train(
        Reconstruction(decoder),
        _latent_crops(plan, 4),
        stage="decoder",
        out=plan.out,
        budget=budget,
        peak=plan.learning_rate / 2,
        resume=resume,
    )
    loop.save_weights(plan.out / "decoder_fitted.npz", decoder)


def _inverse(plan: Plan) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    decoder = build_decoder(plan.decoder, ENCODERS[plan.codec].latent)
    loop.load_weights(need(plan.out / "decoder_fitted.npz", "decoder"), decoder)
    kernel, bias = decoder.get_layer("inverse").get_weights()
    return kernel, bias


def train_preview(plan: Plan, budget: loop.Budget, *, resume: bool) -> None:
    """Stage `preview`: the small decoder in float for two thirds of the budget, then quantised, then converted."""
    keras.utils.set_random_seed(plan.seed)
    channels, window = ENCODERS[plan.codec].latent, CROP // STRIDE
    network = preview.build_preview(channels, window=window)
    data = _latent_crops(plan, 5)
    preview.start(network, _inverse(plan), latent_unit(plan), data[0][0]["values"])
    first, second = budget.split(2 / 3)
    loop.train(
        Reconstruction(network),
        data,
        stage="preview",
        out=plan.out,
        budget=first,
        peak=plan.learning_rate,
        resume=resume,
        scales=preview.LAYER_SCALES,
    )
    quantised = preview.build_preview(channels, quantised=True, window=window)
    seen = np.concatenate([data[i][0]["values"] for i in range(8)]).astype(np.float32)
    calibrate_ranges(network, quantised, seen)
    loop.train(
        Reconstruction(quantised),
        _latent_crops(plan, 6),
        stage="preview_qat",
        out=plan.out,
        budget=second,
        peak=plan.learning_rate / 4,
        resume=resume,
        scales=preview.LAYER_SCALES,
    )
    loop.save_weights(plan.out / "preview_quantised.npz", quantised)
    _convert("preview", plan, plan.out / "preview_quantised.npz", plan.out / "decoder.tflite")
