"""A run that starts at a finished codec: its encoder and server decoder as they are, or with more latent channels.

What a trained transform gains from more channels is known before training: those directions of its last
layer's input are added that explain most of what the decoder leaves of the picture (reduced-rank regression, Izenman
1975), each with its linear reconstruction. The model then draws as before, better at high qualities, and trains on.
"""

from __future__ import annotations

import json

import keras
import numpy as np
import numpy.typing as npt

from heliograph.codec.codec import SERVER, Codec
from heliograph.errors import CodecError, TrainingError
from heliograph.files import write_whole
from heliograph.server.decoder import decoder_spec
from heliograph.server.decoder import load_weights as load_decoder
from heliograph.server.network import DecoderSpec, build_decoder
from heliograph.train import checkpoint
from heliograph.train.data import Crops
from heliograph.train.networks import EncoderSpec, build_encoder, without_rounding
from heliograph.train.objective import EncoderObjective, first_steps, make_variables, mixture
from heliograph.train.run import TRAINING, File, Run, kept_checkpoint
from heliograph.train.stage2_qat import quantise

Array = npt.NDArray[np.float64]
BATCHES = 40  # of 8 crops of 256x256: 80,000 blocks that new channels are found on
_WEAKEST = 4  # new channels' steps differ from theory as the weakest quarter's do


def write_start(codec: Codec, run: Run) -> None:
    """Write a run's starting point, from which stage `qat` goes on: a codec's networks in the run's shape.

    Raises:
        TrainingError: the codec keeps no checkpoint, or its encoder has another shape than the run's in
            anything but the number of latent channels, or more of those.
    """
    model = codec_model(codec, run)
    if model.encoder.output.shape[-1] < run.spec.latent:
        model = widen(model, run.spec, run.decoder, run.crops("more channels", batch=8, size=256))
    run.folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save(run.path(File.START), quantise(model, model.encoder, run))
    origin = {"codec": codec.name, "id": codec.id.hex(), "recipe": codec.manifest.get("recipe", {})}
    write_whole(run.path(File.ORIGIN), (json.dumps(origin, indent=2) + "\n").encode())


def _spec_of(codec: Codec, run: Run) -> EncoderSpec:
    entry, wanted = codec.manifest.get("encoder", {}), run.spec
    try:
        spec = EncoderSpec(int(entry["middle"]), codec.channels, int(entry["branch"]), codec.tile)
    except (KeyError, TypeError, ValueError) as error:
        raise CodecError(
            f"codec {codec.name} does not describe its encoder ({error!r}): copy it again"
        ) from error
    same = (spec.middle, spec.branch) == (wanted.middle, wanted.branch)
    if not same or spec.latent > wanted.latent:
        raise TrainingError(
            f"codec {codec.name} has {spec.middle} + {spec.branch} channels at 1/8 and {spec.latent} latent ones, "
            f"{run.codec} has {wanted.middle} + {wanted.branch} and {wanted.latent}: a start must have as many "
            "at 1/8 and no more latent ones; leave --start out to begin at the DCT"
        )
    return spec


def codec_model(codec: Codec, run: Run) -> EncoderObjective:
    """Return a codec's encoder in float, with `unit` at 1, and its server decoder, as stage `qat` trains them.

    Where the run's decoder has another shape than the codec's it has the codec's linear path alone.
    """
    spec = _spec_of(codec, run)
    source = kept_checkpoint(codec, File.QAT)
    if not source.is_file():
        raise TrainingError(
            f"codec {codec.name} has no {TRAINING}/{source.name} to start from: give one that kept it, "
            "or leave --start out to begin at the DCT"
        )
    shape = decoder_spec(codec)
    known = EncoderObjective(
        build_encoder(spec, quantised=True), build_decoder(shape, spec.latent), seed=run.seed
    )
    make_variables(known)
    checkpoint.load(source, known)
    unit = np.asarray(known.unit.value)
    encoder = without_rounding(known.encoder, spec, unit)
    decoder = known.decoder
    # Better than the joint training's: fitted on int8 latents since.
    load_decoder(codec.read(SERVER), decoder)
    inverse, norm = decoder.get_layer("inverse"), decoder.get_layer("latent_norm")
    inverse.kernel.assign(np.asarray(inverse.kernel) / unit[:, None])
    norm.scale.assign(np.asarray(norm.scale) / unit)
    if run.decoder != shape:
        other = build_decoder(run.decoder, spec.latent)
        for layer in (inverse, norm):
            other.get_layer(layer.name).set_weights(layer.get_weights())
        decoder = other
    model = EncoderObjective(encoder, decoder, seed=run.seed)
    make_variables(model)
    model.log_step.assign(known.log_step)
    model.density.assign(known.density)
    return model


def widen(
    model: EncoderObjective,
    spec: EncoderSpec,
    shape: DecoderSpec,
    crops: Crops,
    *,
    batches: int = BATCHES,
) -> EncoderObjective:
    """Return a float model with more latent channels, which explain most of what the model's decoder leaves.

    Args:
        model: of `codec_model`.
        spec: wanted of its encoder, which differs in the latent channels alone.
        shape: of its decoder.
        crops: pictures to find them on, sides multiples of 16.
        batches: how many of them.
    """
    old, channels = int(model.encoder.output.shape[-1]), spec.latent
    more = channels - old
    into, out_of, mean, deviation = _strongest(model, crops, more, batches)
    encoder = build_encoder(spec)
    for layer in encoder.layers:
        if layer.weights:
            weights = [np.asarray(w) for w in model.encoder.get_layer(layer.name).get_weights()]
            if layer.name == "latent":
                weights[0] = np.concatenate(
                    [weights[0], into.reshape(2, 2, -1, more)], axis=3
                )  # [2, 2, in, C]
                weights[1] = np.concatenate([weights[1], -mean @ into])
            layer.set_weights(weights)
    decoder = build_decoder(shape, channels)
    for layer in decoder.layers:
        if layer.weights:
            weights = [np.asarray(w) for w in model.decoder.get_layer(layer.name).get_weights()]
            if layer.name == "inverse":
                weights[0] = np.concatenate([weights[0], out_of.reshape(1, 1, more, 768)], axis=2)
            elif layer.name == "latent_norm":
                weights[0] = np.concatenate([weights[0], 1 / np.maximum(deviation, 1e-4)])
            elif layer.name == "enter":
                silent = np.zeros((3, 3, more, weights[0].shape[3]))
                weights[0] = np.concatenate([weights[0], silent], axis=2)
            layer.set_weights(weights)
    wider = EncoderObjective(encoder, decoder, seed=1)
    make_variables(wider)
    theory, learnt = first_steps(channels), np.asarray(model.log_step)
    apart = learnt - theory[:, :old]
    weakest = np.argsort(np.asarray(model.decoder.get_layer("latent_norm").scale))[-(old // _WEAKEST) :]
    new = theory[:, old:] + apart[:, weakest].mean(axis=1, keepdims=True)
    wider.log_step.assign(np.concatenate([learnt, new], axis=1))
    wider.density.assign(np.concatenate([np.asarray(model.density), mixture(deviation)], axis=1))
    return wider


def _strongest(
    model: EncoderObjective, crops: Crops, count: int, batches: int
) -> tuple[Array, Array, Array, npt.NDArray[np.float32]]:
    """Return the strongest directions: [inputs, count] into the latent, [count, 768] out of it to a block's pixels
    (orthonormal), the inputs' mean [inputs], and the new channels' standard deviations [count]."""
    last = model.encoder.get_layer("latent").input
    probe = keras.Model(model.encoder.input, [last, model.encoder.output])
    finest = np.ones((1, 1), np.float32)
    step = np.asarray(model.steps(finest))[0]
    size = 4 * int(last.shape[-1])
    # Second moments of (1, inputs, what is left of the block).
    both = np.zeros((1 + size + 768, 1 + size + 768))
    for number in range(batches):
        image = crops[number][0]["image"].astype(np.float32) / np.float32(255)
        at8, latent = (np.asarray(x) for x in probe(image))
        shown = model.decoder([np.round(latent / step) * step, np.repeat(finest, len(image), axis=0)])
        x, r = _blocks(at8, 2), _blocks(image - np.asarray(shown), 16)
        rows = np.concatenate([np.ones((len(x), 1)), x, r], axis=1)
        both += rows.T @ rows
    mean = both[0] / both[0, 0]
    covariance = both / both[0, 0] - np.outer(mean, mean)
    inputs, across = covariance[1 : 1 + size, 1 : 1 + size], covariance[1 : 1 + size, 1 + size :]
    ridge = 1e-6 * np.trace(inputs) / size * np.eye(size)
    all_of_it = np.linalg.solve(inputs + ridge, across)  # [inputs, 768]
    _, directions = np.linalg.eigh(all_of_it.T @ inputs @ all_of_it)
    out_of = directions[:, ::-1][:, :count]  # [768, count], strongest first
    into = all_of_it @ out_of
    deviation = np.sqrt(np.einsum("ic,ij,jc->c", into, inputs, into))
    return into, out_of.T, mean[1 : 1 + size], deviation.astype(np.float32)


def _blocks(x: npt.NDArray[np.float32], side: int) -> Array:
    """Return [B, H, W, C] as rows of blocks, [B * H/side * W/side, side * side * C], in (y, x, channel) order."""
    b, h, w, c = x.shape
    cells = x.reshape(b, h // side, side, w // side, side, c).transpose(0, 1, 3, 2, 4, 5)
    return np.asarray(cells.reshape(-1, side * side * c), np.float64)
