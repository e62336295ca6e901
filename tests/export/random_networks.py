"""Random int8 encoders of the operations that csrc/heliograph_net.c has, as .tflite files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.codec.codec import ENCODER, ENTROPY, MANIFEST, Codec, codec_id, sha256

GOLDEN = Path(__file__).resolve().parents[1] / "golden/codec"
INT8, INT32 = 9, 2
SAME, VALID = 0, 1


@dataclass
class Writer:
    """Adds tensors and operations to a model; `draw` says everything that is random."""

    schema: Any
    draw: np.random.Generator
    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    def tensor(
        self,
        shape: tuple[int, ...],
        scale: Any,
        zero: int = 0,
        values: np.ndarray | None = None,
        axis: int = 0,
    ) -> int:
        """Add a tensor and return its index."""
        tensor, buffer = self.schema.TensorT(), self.schema.BufferT()
        buffer.data = None if values is None else np.frombuffer(values.tobytes(), np.uint8)
        self.buffers.append(buffer)
        tensor.shape, tensor.name = list(shape), f"t{len(self.tensors)}".encode()
        tensor.type = INT32 if values is not None and values.dtype == np.int32 else INT8
        tensor.buffer = len(self.buffers) - 1
        tensor.quantization = self.schema.QuantizationParametersT()
        tensor.quantization.scale = np.atleast_1d(np.float32(scale))
        tensor.quantization.zeroPoint = np.full(tensor.quantization.scale.shape, zero, np.int64)
        tensor.quantization.quantizedDimension = axis
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, code: int, version: int, inputs: list[int], output: int, options: Any) -> int:
        """Add an operation and return its output."""
        operator = self.schema.OperatorT()
        if code not in self.codes:
            self.codes.append(code)
        operator.opcodeIndex, operator.inputs, operator.outputs = self.codes.index(code), inputs, [output]
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(
            self.schema.BuiltinOptions, type(options).__name__.removesuffix("T")
        )
        self.operators.append(operator)
        return output

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(self.tensors[tensor].shape)

    def units(self, tensor: int) -> tuple[float, int]:
        """Scale and zero point."""
        quantisation = self.tensors[tensor].quantization
        return float(quantisation.scale[0]), int(quantisation.zeroPoint[0])

    def some_units(self) -> tuple[float, int]:
        """A scale, and a zero point that is 0 in half of the cases, as in the shipped encoders."""
        zero = 0 if self.draw.random() < 0.5 else int(self.draw.integers(-128, 128))
        return float(2.0 ** self.draw.uniform(-9, -3)), zero

    def convolution(self, x: int, channels: int, window: int, units: tuple[float, int] | None = None) -> int:
        _, height, width, given = self.shape(x)
        stride = 2 if window == 2 else 1
        scale, zero = units or self.some_units()
        weights = self.draw.integers(-127, 128, (channels, window, window, given)).astype(np.int8)
        # Sums fill the range of the output, some beyond it.
        spread = 70.0 * 70.0 * (window * window * given) ** 0.5 * self.units(x)[0]
        scales = (
            scale
            * 127.0
            / spread
            * 2.0 ** self.draw.uniform(-2, 1, 1 if self.draw.random() < 0.1 else channels)
        )
        scales = np.minimum(scales, 0.99 * scale / self.units(x)[0])
        bias = self.draw.integers(-30000, 30000, channels).astype(np.int32)
        w = self.tensor(weights.shape, scales, 0, weights)
        b = self.tensor((channels,), scales * self.units(x)[0], 0, bias)
        out = self.tensor((1, height // stride, width // stride, channels), scale, zero)
        options = self.schema.Conv2DOptionsT()
        options.strideH = options.strideW = stride
        options.padding = SAME if window == 3 else VALID
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = int(self.draw.integers(0, 2))  # none or ReLU
        return self.operator(self.schema.BuiltinOperator.CONV_2D, 3, [x, w, b], out, options)

    def max_pool(self, x: int) -> int:
        _, height, width, channels = self.shape(x)
        out = self.tensor((1, height // 2, width // 2, channels), *self.units(x))
        options = self.schema.Pool2DOptionsT()
        options.strideH = options.strideW = options.filterHeight = options.filterWidth = 2
        options.padding = VALID
        return self.operator(self.schema.BuiltinOperator.MAX_POOL_2D, 2, [x], out, options)

    def addition(self, a: int, b: int) -> int:
        out = self.tensor(self.shape(a), *self.some_units())
        options = self.schema.AddOptionsT()
        options.fusedActivationFunction = int(self.draw.integers(0, 2))
        options.potScaleInt16 = False
        return self.operator(self.schema.BuiltinOperator.ADD, 2, [a, b], out, options)

    def concatenation(self, a: int, b: int) -> int:
        _, height, width, channels = self.shape(a)
        out = self.tensor((1, height, width, channels + self.shape(b)[3]), *self.units(a))
        options = self.schema.ConcatenationOptionsT()
        options.axis = -1
        return self.operator(self.schema.BuiltinOperator.CONCATENATION, 2, [a, b], out, options)

    def pack(self, x: int, out: int) -> bytes:
        """Return the model that goes from one tensor to another."""
        import flatbuffers

        model, graph = self.schema.ModelT(), self.schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.operators, [x], [out]
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.operatorCodes = []
        for code in self.codes:
            one = self.schema.OperatorCodeT()
            one.builtinCode, one.deprecatedBuiltinCode, one.version = code, code, 3
            model.operatorCodes.append(one)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def codec_with_copies(folder: Path, copies: Sequence[int]) -> Codec:
    """Write the golden codec with a network that computes some latents several times, and return it."""
    golden = Codec(GOLDEN)
    encoder = overlapping_network(3, golden.tile // 16, golden.channels + len(copies))
    files = {ENCODER: encoder, ENTROPY: golden.read(ENTROPY)}
    manifest = golden.manifest | {
        "id": codec_id(encoder, files[ENTROPY]).hex(),
        "files": {name: sha256(data) for name, data in files.items()},
        "encoder": {"latent_copies": list(copies)},
    }
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return Codec(folder)


def overlapping_network(seed: int, side: int, channels: int) -> bytes:
    """Return an encoder of the form of train/joint/encoder.py, folded: a chain and a branch beside it."""
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    w = Writer(schema, np.random.default_rng(seed))
    units = (1 / 128, 0)
    image = w.tensor((1, 16 * side, 16 * side, 3), 1 / 255, -128)
    quarter = w.convolution(w.convolution(image, 12, 2, units), 24, 2, units)
    eighth = w.convolution(quarter, 32, 2, units)
    pooled = w.max_pool(w.convolution(quarter, 8, 3, units))
    mixed = w.concatenation(w.convolution(eighth, 12, 1, units), pooled)
    mixed = w.convolution(w.convolution(mixed, 16, 3, units), 16, 3, units)
    latent = w.addition(w.convolution(eighth, channels, 2, units), w.convolution(mixed, channels, 2, units))
    return w.pack(image, latent)


def random_network(seed: int, side: int, channels: int | None = None) -> tuple[bytes, int]:
    """Return an encoder for tiles of 16 * `side` pixels, and its channels; the seed says what is not given."""
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    draw = np.random.default_rng(seed)
    w = Writer(schema, draw)
    first = x = w.tensor((1, 16 * side, 16 * side, 3), 1 / 255, -128)

    def some() -> int:
        return int(draw.integers(1, 14)) if draw.random() < 0.5 else 4 * int(draw.integers(1, 6))

    for level in range(4):
        for _ in range(int(draw.integers(0, 2))):
            kind = draw.integers(0, 4)
            if kind == 0 and level:
                x = w.convolution(x, some(), 3)
            elif kind == 1:
                x = w.convolution(x, some(), 1)
            elif kind == 2:
                a, units = w.convolution(x, some(), int(draw.choice([1, 3]))), w.some_units()
                a = w.convolution(a, some(), 3, units)
                b = w.convolution(a if draw.random() < 0.5 else x, some(), 1, units)  # a may be read by both
                x = w.concatenation(a, b) if draw.random() < 0.5 else w.concatenation(b, a)
            else:
                count = some()
                x = w.addition(w.convolution(x, count, 3), w.convolution(x, count, 1))
        down = draw.integers(0, 4)
        if level == 3 and channels is not None:
            x = w.convolution(x, channels, 2)
            break
        if down == 0 and level:
            x = w.max_pool(x)
        elif down == 1:  # as the microcontroller's: a branch that pools, beside the step down
            units = w.some_units()
            pooled = w.max_pool(w.convolution(x, some(), 3, units))
            x = w.concatenation(w.convolution(x, some(), 2, units), pooled)
        else:
            x = w.convolution(x, some(), 2)
    return w.pack(first, x), w.shape(x)[3]
