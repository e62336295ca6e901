"""What is in a .tflite file: layers, tensors and constants, read with the published schema."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from heliograph.errors import CodecError, RuntimeUnavailableError
from heliograph.extras import install

# Options of an operation that its rules look at, by schema table. A table that is not here has none that matter.
_OPTIONS = {
    "Conv2DOptions": (
        "StrideH",
        "StrideW",
        "DilationHFactor",
        "DilationWFactor",
        "Padding",
        "FusedActivationFunction",
    ),
    "DepthwiseConv2DOptions": (
        "StrideH",
        "StrideW",
        "DilationHFactor",
        "DilationWFactor",
        "Padding",
        "FusedActivationFunction",
    ),
    "Pool2DOptions": (
        "StrideH",
        "StrideW",
        "FilterHeight",
        "FilterWidth",
        "Padding",
        "FusedActivationFunction",
    ),
    "ConcatenationOptions": ("Axis", "FusedActivationFunction"),
    "TransposeConvOptions": ("StrideH", "StrideW", "Padding"),
    "AddOptions": ("FusedActivationFunction",),
    "FullyConnectedOptions": ("WeightsFormat", "FusedActivationFunction"),
    "DepthToSpaceOptions": ("BlockSize",),
}


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model.

    Attributes:
        index: of the tensor in the model.
        kind: element type, such as "int8".
        shape: as stored; signature: with -1 where the size was left open, or empty.
        scales, zero_points: of its quantisation, empty for none.
        stored: bytes of its constant values, 0 for one that is computed.
        values: the constant values, or None.
    """

    index: int
    name: str
    kind: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    stored: int
    values: Any = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """The first of the names that the converter joined."""
        return self.name.split(";")[0]

    @property
    def is_constant(self) -> bool:
        return self.stored > 0

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return int(np.prod(self.shape, dtype=np.int64)) * (
            np.dtype(self.kind).itemsize if self.kind != "string" else 1
        )


@dataclass(frozen=True)
class Layer:
    """An operation; `inputs` has None where an optional one is left out."""

    number: int
    kind: str
    version: int
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: dict[str, int]

    @property
    def label(self) -> str:
        """Number, kind and the name of its result."""
        return f"layer {self.number} {self.kind} ({self.outputs[0].label if self.outputs else 'no output'})"

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a convolution or matrix product, 0 for others."""
        weights = self.inputs[1] if len(self.inputs) > 1 else None
        if weights is None or not self.outputs:
            return 0
        results, shape = int(np.prod(self.outputs[0].shape, dtype=np.int64)), weights.shape
        if self.kind == "CONV_2D":
            return results * int(np.prod(shape[1:]))
        if self.kind == "DEPTHWISE_CONV_2D":
            return results * shape[1] * shape[2]
        if self.kind == "FULLY_CONNECTED":
            return results * shape[-1]
        return 0


@dataclass(frozen=True)
class Graph:
    """The first subgraph of a model; `subgraphs` says how many there are."""

    layers: tuple[Layer, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    subgraphs: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return sum(layer.macs for layer in self.layers)

    @property
    def parameter_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(t.stored for t in self.tensors)

    @property
    def kinds(self) -> list[str]:
        """The kinds of operations, each once, in order of the alphabet."""
        return sorted({layer.kind for layer in self.layers})

    @cached_property
    def peak(self) -> tuple[int, Layer | None]:
        """The most bytes of computed tensors that are needed at once when layers run in order, and at which layer."""
        last = {t: n for n, layer in enumerate(self.layers) for t in layer.inputs if t is not None}
        last |= {t: len(self.layers) for t in self.outputs}
        alive = {t for t in self.inputs if not t.is_constant}
        most, where = sum(t.size for t in alive), None
        for n, layer in enumerate(self.layers):
            alive |= set(layer.outputs)
            now = sum(t.size for t in alive)
            if now > most:
                most, where = now, layer
            alive = {t for t in alive if last.get(t, -1) > n}
        return most, where


def _schema() -> Any:
    try:
        import tflite
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"reading .tflite files needs the package tflite ({error}): {install('export')}"
        ) from error
    return tflite


def read_graph(data: bytes) -> Graph:
    """Return the graph of a .tflite model.

    Raises:
        RuntimeUnavailableError: the package with the schema is not installed.
        CodecError: the bytes are no .tflite model.
    """
    schema = _schema()
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise CodecError(
            f"not a .tflite model: {len(data)} bytes without the mark TFL3; copy the codec folder again"
        )
    try:
        model = schema.Model.GetRootAs(data, 0)
        graph = model.Subgraphs(0)
        tensors = tuple(_tensor(schema, model, graph.Tensors(i), i) for i in range(graph.TensorsLength()))
        layers = tuple(
            _layer(schema, model, graph.Operators(i), i, tensors) for i in range(graph.OperatorsLength())
        )
        ends = [
            tuple(tensors[int(i)] for i in part) for part in (graph.InputsAsNumpy(), graph.OutputsAsNumpy())
        ]
        return Graph(layers, tensors, ends[0], ends[1], model.SubgraphsLength())
    # What a damaged flatbuffer raises depends on which offset is wrong.
    except (
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        struct.error,
    ) as error:
        raise CodecError(f"cannot read the .tflite model: {error!r}; copy the codec folder again") from error


def _names(holder: Any) -> dict[int, str]:
    return {value: name for name, value in vars(holder).items() if isinstance(value, int)}


def _list(vector: Any) -> list[Any]:
    """An absent vector reads as the number 0."""
    return vector.tolist() if isinstance(vector, np.ndarray) else []


def _tensor(schema: Any, model: Any, tensor: Any, index: int) -> Tensor:
    kind = _names(schema.TensorType)[tensor.Type()].lower()
    quantisation = tensor.Quantization()
    scales = _list(quantisation.ScaleAsNumpy()) if quantisation is not None else []
    zeros = _list(quantisation.ZeroPointAsNumpy()) if quantisation is not None else []
    content = model.Buffers(tensor.Buffer()).DataAsNumpy()
    stored = len(content) if isinstance(content, np.ndarray) else 0
    values = None
    shape = tuple(int(n) for n in _list(tensor.ShapeAsNumpy()))
    if stored and kind in {"int8", "uint8", "int16", "int32", "int64", "float32"}:
        values = np.frombuffer(content.tobytes(), np.dtype(kind)).reshape(shape)
    signature = tuple(int(n) for n in _list(tensor.ShapeSignatureAsNumpy()))
    name = tensor.Name().decode("utf-8", "replace") if tensor.Name() else "unnamed"
    return Tensor(index, name, kind, shape, signature, tuple(scales), tuple(zeros), stored, values)


def _layer(schema: Any, model: Any, operator: Any, number: int, tensors: tuple[Tensor, ...]) -> Layer:
    code = model.OperatorCodes(operator.OpcodeIndex())
    # Old files hold the code in a byte, new ones in an int, and each fills the other with 0 or 127.
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    kind = _names(schema.BuiltinOperator).get(builtin, f"OPERATOR_{builtin}")
    if kind == "CUSTOM":
        kind = f"CUSTOM {(code.CustomCode() or b'?').decode('utf-8', 'replace')}"
    inputs = tuple(tensors[i] if i >= 0 else None for i in _list(operator.InputsAsNumpy()))
    outputs = tuple(tensors[i] for i in _list(operator.OutputsAsNumpy()))
    return Layer(number, kind, code.Version(), inputs, outputs, _options(schema, operator))


def _options(schema: Any, operator: Any) -> dict[str, int]:
    table = _names(schema.BuiltinOptions).get(operator.BuiltinOptionsType(), "NONE")
    wanted, stored = _OPTIONS.get(table, ()), operator.BuiltinOptions()
    if not wanted or stored is None:
        return {}
    reader = getattr(schema, table)()
    reader.Init(stored.Bytes, stored.Pos)
    return {_snake(name): int(getattr(reader, name)()) for name in wanted}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
