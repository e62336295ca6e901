"""Conversion: trained fake-quantised models to int8 .tflite files, checked before they are believed.

TensorFlow's converter leaks memory, so `convert` runs it in a process of its own, always on the
TensorFlow backend; the training around it may run on another.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from heliograph.errors import ConversionError
from heliograph.files import write_whole
from heliograph.train import checkpoint
from heliograph.train import preview_network as preview
from heliograph.train.networks import EncoderSpec, build_encoder
from heliograph.train.quantisation import (
    LATENT_SCALE,
    ActivationRange,
    QuantisedConv2D,
    snap_biases,
)

OPERATIONS = {"CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "ADD", "CONCATENATION"}
PREVIEW_OPERATIONS = OPERATIONS | {"DEPTH_TO_SPACE"}  # which runs on CPUs, as the preview does
EXACT_SHARE = 0.95
# Sums of floats fall on the other side of a rounding border in one of 10,000 values or so. What follows multiplies it:
# a difference of neighbouring means has a tenth of their range, so that a flip in one is several LSB of the other.
APART_SHARE = 1e-3  # of latents that may be more than 1 LSB off
MOST_APART = 16  # LSB
_log = logging.getLogger(__name__)
_IMAGE = (1 / 255, -128)
_LATENT = (LATENT_SCALE, 0)


def read_shape(text: str) -> EncoderSpec:
    """Return the shape that JSON text gives."""
    shape = json.loads(text)
    return EncoderSpec(**shape | {"copies": tuple(shape["copies"])})


def convert(kind: str, spec: EncoderSpec, weights: Path, out: Path) -> None:
    """Convert the model in a training checkpoint to an int8 .tflite file, in a subprocess.

    Args:
        kind: "encoder" or "preview".
        spec: the encoder's shape.
        weights: checkpoint of stage qat or preview.
        out: the .tflite file to write.

    Raises:
        ConversionError: the converter failed or the model it made breaks one of the checks.
    """
    shape = json.dumps(asdict(spec))
    command = [sys.executable, "-m", "heliograph.train.convert", kind, shape, str(weights), str(out)]
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise ConversionError(f"conversion of the {kind} failed: {lines[-1].removeprefix('error: ')}")


def convert_where_possible(kind: str, spec: EncoderSpec, weights: Path, out: Path) -> None:
    """Convert as `convert` does; without TensorFlow, as on many GPU machines, leave it to another one and say so."""
    if importlib.util.find_spec("tensorflow") is None:
        _log.warning(
            "%s needs TensorFlow: run this stage again with --resume where it is installed", out.name
        )
        return
    convert(kind, spec, weights, out)


def build(kind: str, spec: EncoderSpec, weights: Path) -> keras.Model:
    """Return the fake-quantised model of a checkpoint at the static shape of the device."""
    if kind == "encoder":
        model = build_encoder(spec, quantised=True, tile=spec.tile)
    else:
        model = preview.build_preview(spec.latent, quantised=True)
    checkpoint.load(weights, model)
    snap_biases(model)
    return model


def to_tflite(model: keras.Model) -> bytes:
    """Return the int8 .tflite model of a fake-quantised Keras model with static shapes."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def check_structure(data: bytes, model: keras.Model, allowed: set[str]) -> None:
    """Raise ConversionError unless tensors are int8/int32, operations allowed, and scales as trained."""
    import tensorflow as tf

    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_content=data, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    beyond = {op["op_name"] for op in interpreter._get_ops_details()} - allowed
    if beyond:
        raise ConversionError(
            f"model has operations {', '.join(sorted(beyond))}; accelerators take only "
            f"{', '.join(sorted(allowed))}"
        )
    tensors = interpreter.get_tensor_details()
    wrong = [t for t in tensors if t["dtype"] not in (np.int8, np.int32)]
    if wrong:
        raise ConversionError(
            f"tensor {wrong[0]['name']} is {np.dtype(wrong[0]['dtype']).name}, expected int8 or int32"
        )
    (first,), (last,) = interpreter.get_input_details(), interpreter.get_output_details()
    ends = (_IMAGE, _LATENT) if model.name == "encoder" else (_LATENT, _IMAGE)
    for detail, (scale, zero) in zip((first, last), ends, strict=True):
        got = detail["quantization"]
        if not (np.isclose(got[0], scale, rtol=1e-6) and got[1] == zero):
            raise ConversionError(
                f"tensor {detail['name']} has scale {got[0]:.8g} and zero point {got[1]}, "
                f"expected {scale:.8g} and {zero}"
            )
    check_scales(tensors, model)


def check_scales(tensors: list[dict[str, Any]], model: keras.Model) -> None:
    """Raise ConversionError unless every trained range and weight scale appears among the tensors."""
    single = np.array([t["quantization"][0] for t in tensors if t["quantization"][0] > 0])
    several = [t["quantization_parameters"]["scales"] for t in tensors]
    for layer in model.layers:
        if isinstance(layer, ActivationRange) and not np.isclose(single, layer.scale, rtol=1e-6).any():
            raise ConversionError(
                f"{layer.name}: the trained scale {layer.scale:.8g} is not in the converted model"
            )
        if isinstance(layer, QuantisedConv2D):
            scales = layer.weight_scales()
            if not any(s.shape == scales.shape and np.allclose(s, scales, rtol=1e-6) for s in several):
                raise ConversionError(
                    f"{layer.name}: the trained weight scales are not in the converted model"
                )


def check_agreement(data: bytes, model: keras.Model, inputs: np.ndarray, scale: float, zero: int) -> float:
    """Compare the int8 model under XNNPACK with its fake-quantised original; return the share of equal values.

    Args:
        inputs: int8 [N, ...], the int8 model's inputs; `scale` and `zero` turn them into the original's.

    Raises:
        ConversionError: the encoder is equal in less than 95 %, more than 1 LSB apart in more than 0.1 %, or more than
            16 LSB apart anywhere.
    """
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    (first,), (last,) = interpreter.get_input_details(), interpreter.get_output_details()
    out_scale, out_zero = last["quantization"]
    equal, beyond, worst = [], [], 0
    for values in inputs:
        interpreter.set_tensor(first["index"], values[None])
        interpreter.invoke()
        got = interpreter.get_tensor(last["index"])[0].astype(np.int32)
        real = np.asarray(model((values[None].astype(np.float32) - zero) * np.float32(scale)))[0]
        expected = np.clip(np.round(real / out_scale) + out_zero, -128, 127).astype(np.int32)
        apart = np.abs(got - expected)
        equal.append(float(np.mean(apart == 0)))
        beyond.append(float(np.mean(apart > 1)))
        worst = max(worst, int(apart.max()))
    share, far = float(np.mean(equal)), float(np.mean(beyond))
    if model.name != "encoder":
        return share
    if share < EXACT_SHARE or far > APART_SHARE or worst > MOST_APART:
        raise ConversionError(
            f"int8 encoder and its fake-quantised original agree in {share:.2%} of latents, {far:.3%} differ "
            f"by more than 1 LSB and one by {worst}; expected at least {EXACT_SHARE:.0%}, at most {APART_SHARE:.2%} "
            f"and {MOST_APART} LSB"
        )
    return share


def _probes(model: keras.Model) -> np.ndarray:
    """Inputs with the spectrum of pictures: smooth random fields, int8 [4, ...]."""
    rng = np.random.default_rng(0)
    height, width, channels = model.input.shape[1:]
    if model.name != "encoder":
        return np.clip(rng.laplace(0, 8, (4, height, width, channels)), -128, 127).astype(np.int8)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    spectrum = rng.normal(size=(4, height, width, channels)) / (frequency[None, :, :, None] + 2 / height)
    phase = np.exp(2j * np.pi * rng.random((4, height, width, channels)))
    field = np.fft.ifft2(spectrum * phase, axes=(1, 2)).real
    field = 0.7 * field.mean(axis=-1, keepdims=True) + 0.3 * field  # colours go mostly together
    field /= field.std(axis=(1, 2, 3), keepdims=True)
    return np.asarray(np.clip(np.round(128 + 50 * field) - 128, -128, 127), np.int8)


def _main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["encoder", "preview"])
    parser.add_argument("shape", type=read_shape)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    a = parser.parse_args()
    try:
        model = build(a.kind, a.shape, a.weights)
        data = to_tflite(model)
        check_structure(data, model, OPERATIONS if a.kind == "encoder" else PREVIEW_OPERATIONS)
        scale, zero = _IMAGE if a.kind == "encoder" else _LATENT
        share = check_agreement(data, model, _probes(model), scale, zero)
        write_whole(a.out, data)
    except Exception as error:  # the parent shows the last line of stderr
        print(f"error: {type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr)
        return 1
    print(f"{a.out.name}: {len(data)} bytes, {share:.2%} of values as fake-quantised")
    return 0


if __name__ == "__main__":
    raise SystemExit(_main())
