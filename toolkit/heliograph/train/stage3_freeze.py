"""Stage `freeze`: the encoder as int8 .tflite, its steps as integers, the decoder in int8 latent units."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heliograph.codec import levels, values
from heliograph.device import runtime
from heliograph.device.encoder import LatentEncoder
from heliograph.files import write_whole
from heliograph.train import checkpoint
from heliograph.train.convert import convert_where_possible
from heliograph.train.growth import grown
from heliograph.train.networks import without_rounding
from heliograph.train.objective import copies_of
from heliograph.train.quantisation import make_room
from heliograph.train.run import File, Run
from heliograph.train.simulated import KerasNetwork
from heliograph.train.stage2_qat import pure_colours, trained_model


def integer_steps(
    steps: npt.NDArray[np.float64], unit: npt.NDArray[np.float64], copies: Sequence[int] = ()
) -> npt.NDArray[np.uint16]:
    """Return trained steps [26, C] in the float encoder's units as sixteenths of an int8 latent unit.

    `unit` [C] is what one int8 latent unit times 128 is worth. No step is finer than a latent: that is a unit, or a
    part of it where there are copies.
    """
    least = values.UNIT // (1 + np.bincount(np.array(copies, np.int64), minlength=len(unit)))
    sixteenths = np.round(steps / unit * 128 * values.UNIT)
    return np.clip(sixteenths, least, 65535).astype(np.uint16)


def freeze(run: Run) -> None:
    """Freeze what stage `qat` trained; leave encoder, steps and the decoder's start."""
    model = trained_model(run)
    plain = without_rounding(model.encoder, run.spec)
    copies = copies_of(model)
    room = make_room(plain, pure_colours(64), np.array(copies, np.int64))
    model.unit.assign(np.asarray(model.unit) * room)
    for layer in plain.layers:
        if layer.weights:
            model.encoder.get_layer(layer.name).set_weights(layer.get_weights())
    checkpoint.save(run.path(File.ENCODER_WEIGHTS), model.encoder)
    checkpoint.save(run.path(File.FROZEN), model)
    unit = np.asarray(model.unit.value, np.float64)
    quality = np.linspace(0, 1, levels.STEP_ROWS, dtype=np.float32)[:, None]
    steps = integer_steps(np.asarray(model.steps(quality), np.float64), unit, copies)
    write_steps(run, steps, copies, unit=unit)
    decoder = model.decoder
    inverse = decoder.get_layer("inverse")
    inverse.kernel.assign(np.asarray(inverse.kernel) * unit[:, None])
    norm = decoder.get_layer("latent_norm")
    norm.scale.assign(np.asarray(norm.scale) * unit)
    checkpoint.save(
        run.path(File.DECODER_START), grown(decoder, run.joint_decoder, run.decoder, seed=run.seed)
    )
    convert_where_possible("encoder", run.spec, run.path(File.ENCODER_WEIGHTS), run.path(File.ENCODER))


def write_steps(
    run: Run, steps: npt.NDArray[np.uint16], copies: Sequence[int], **more: npt.NDArray[np.float64]
) -> None:
    """Write integer steps uint16 [26, C], the latents' copies, and what else belongs to them, to File.STEPS."""
    buffer = io.BytesIO()
    if copies:
        more["copies"] = np.array(copies, np.float64)
    np.savez(buffer, steps=steps, **more)  # type: ignore[arg-type]
    write_whole(run.path(File.STEPS), buffer.getvalue())


def frozen_steps(run: Run) -> npt.NDArray[np.uint16]:
    """Return the integer steps, uint16 [26, C] in the encoder's channel order."""
    with np.load(run.need(File.STEPS)) as stored:
        return np.asarray(stored["steps"])


def latent_unit(run: Run) -> npt.NDArray[np.float64]:
    """Return what 128 int8 latent units are worth in joint training's units, float64 [C]."""
    with np.load(run.need(File.STEPS)) as stored:
        return np.asarray(stored["unit"])


def latent_copies(run: Run) -> tuple[int, ...]:
    """Return of which latent each of the encoder's outputs after the latents is a further copy, rising."""
    with np.load(run.need(File.STEPS)) as stored:
        return tuple(int(one) for one in stored.get("copies", ()))


def frozen_encoder(run: Run) -> LatentEncoder:
    """Return the frozen int8 encoder on the first TFLite runtime, or computed by Keras where there is none."""
    network: runtime.Model | KerasNetwork
    if runtime.available():
        network = runtime.Model(run.need(File.ENCODER).read_bytes(), threads=2)
    else:
        network = KerasNetwork.quantised(run.spec, run.need(File.ENCODER_WEIGHTS))
    return LatentEncoder(network, tile=run.tile, channels=run.channels, copies=latent_copies(run))
