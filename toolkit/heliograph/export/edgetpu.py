"""Whether a model will run on Coral's Edge TPU, from the rules that its makers publish.

Sources: the list of supported operations and the compiler's notes on parameter caching at coral.ai, and issues of
google-coral/edgetpu (numbers in comments). The compiler itself has the last word; see `edgetpu_compiler`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from heliograph.export.findings import Finding
from heliograph.export.graph import Graph, Layer, Tensor

# The published list of operations; what the makers call Conv2d is CONV_2D in a file.
SUPPORTED = frozenset(
    """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D EXPAND_DIMS FULLY_CONNECTED L2_NORMALIZATION LOGISTIC
    LSTM MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL PACK PAD PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1
    RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SQUARED_DIFFERENCE SQUEEZE
    STRIDED_SLICE SUB SUM TANH TRANSPOSE TRANSPOSE_CONV
    """.split()  # noqa: SIM905 - a list of 39 quoted words is no clearer
)
# Versions of operations that compiler 16 is known to reject, and the whole model with them ("Didn't find op for
# builtin opcode"): google-coral/edgetpu#210, #631, #845, #879, #340.
REJECTED_FROM = {"CONV_2D": 5, "TRANSPOSE_CONV": 4, "QUANTIZE": 3, "DEPTH_TO_SPACE": 2, "REVERSE_V2": 3}
CHIP_BYTES = 8 << 20  # on-chip memory, which parameters, activations and the program share
CACHE_BYTES = int(6.9 * (1 << 20))  # parameters that stay on the chip; logs show 6.9 to 7.6 MiB
WORDS = {"int8", "uint8"}
_REMEDY_KIND = "build the encoder from convolutions, pooling, ADD and CONCATENATION only"


def check(graph: Graph) -> list[Finding]:
    """Return what keeps a model from the Edge TPU, in order of the layers; notes come last."""
    findings = [*_ends(graph), *_memory(graph)]
    for layer in graph.layers:
        findings += [*_operation(graph, layer), *_options(layer), *_tensors(layer)]
    return sorted(findings, key=lambda f: not f.fatal)


def mapped(graph: Graph, findings: list[Finding]) -> int:
    """Return how many layers the chip would run: those before the first with a fatal finding."""
    for n, layer in enumerate(graph.layers):
        if any(f.fatal and f.where.startswith(f"{layer.label}") for f in findings):
            return n
    return 0 if any(f.fatal for f in findings) else len(graph.layers)


def _ends(graph: Graph) -> Iterator[Finding]:
    if graph.subgraphs != 1:
        yield Finding(
            "model", f"it has {graph.subgraphs} subgraphs, expected 1", "convert it without control flow"
        )
    for tensor in (*graph.inputs, *graph.outputs):
        if tensor.kind not in WORDS:
            yield Finding(
                f"model (tensor {tensor.label})",
                f"its end is {tensor.kind}, expected int8",
                "convert with inference_input_type and inference_output_type int8",
            )


def _memory(graph: Graph) -> Iterator[Finding]:
    parameters, (activations, layer) = graph.parameter_bytes, graph.peak
    if parameters > CACHE_BYTES:
        yield Finding(
            "model",
            f"{parameters} bytes of parameters, the on-chip cache holds about {CACHE_BYTES}",
            "the rest would be streamed over the bus at every run: use fewer channels",
            fatal=False,
        )
    # No limit is published. That activations and parameters share 8 MB is; a model of 1024x1024 was refused that
    # compiled at 608x608 (#157), and compiler 16 says "large activation tensors" (#512).
    if activations > CHIP_BYTES and layer is not None:
        yield Finding(
            layer.label,
            f"{activations} bytes of activations are needed at once, the chip has {CHIP_BYTES} in all",
            "use a smaller tile",
        )
    elif activations + parameters > CHIP_BYTES and layer is not None:
        yield Finding(
            layer.label,
            f"{activations} bytes of activations and {parameters} of parameters exceed the chip's {CHIP_BYTES}",
            "parameters may be streamed at every run: use a smaller tile or fewer channels",
            fatal=False,
        )


def _operation(graph: Graph, layer: Layer) -> Iterator[Finding]:
    rejected = REJECTED_FROM.get(layer.kind)
    if rejected is not None and layer.version >= rejected:
        yield Finding(
            layer.label,
            f"version {layer.version} of {layer.kind}, compiler 16 rejects models with version {rejected} and later",
            "convert with another release of TensorFlow: 2.21 writes CONV_2D version 3",
        )
    if layer.kind not in SUPPORTED:
        after = len(graph.layers) - layer.number
        yield Finding(
            layer.label,
            f"{layer.kind} does not exist on the Edge TPU: it and what follows, {after} of {len(graph.layers)} layers, "
            "would run on the CPU",
            _REMEDY_KIND,
        )


def _options(layer: Layer) -> Iterator[Finding]:
    options, kind = layer.options, layer.kind
    if kind in {"AVERAGE_POOL_2D", "MAX_POOL_2D", "CONCATENATION"} and options.get(
        "fused_activation_function"
    ):
        yield Finding(layer.label, "it has a fused activation, expected none", "put the activation before it")
    if options.get("dilation_hfactor") != options.get("dilation_wfactor"):
        yield Finding(
            layer.label,
            f"its dilation is {options['dilation_hfactor']} down, {options['dilation_wfactor']} across, expected equal",
            "use the same dilation both ways",
        )
    weights = layer.inputs[1] if len(layer.inputs) > 1 else None
    if kind == "PRELU" and weights is not None and sum(n > 1 for n in weights.shape) > 1:
        yield Finding(
            _at(layer, weights),
            f"alpha is {list(weights.shape)}, expected one axis",
            "share it over height and width",
        )
    if kind in {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"}:
        for tensor in layer.inputs[:2] if kind == "TRANSPOSE_CONV" else layer.inputs[1:]:
            if tensor is not None and not tensor.is_constant:
                yield Finding(
                    _at(layer, tensor), "parameters are computed, expected constants", "freeze the weights"
                )
    if kind in {"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"}:
        yield Finding(
            layer.label, "resizing may stay on the CPU at some sizes", "see the compiler's log", fatal=False
        )
    if kind == "TRANSPOSE_CONV":
        yield Finding(
            layer.label, "TRANSPOSE_CONV needs Edge TPU runtime 13", "install it on the device", fatal=False
        )


def _tensors(layer: Layer) -> Iterator[Finding]:
    for n, tensor in enumerate((*layer.inputs, *layer.outputs)):
        if tensor is None:
            continue
        where = _at(layer, tensor)
        if any(size < 1 for size in tensor.shape):
            yield Finding(
                where, f"its shape {list(tensor.shape)} is not fixed", "convert with a fixed input shape"
            )
            continue
        is_input = n < len(layer.inputs)
        if not tensor.is_constant and tensor.kind not in WORDS:
            yield Finding(
                where,
                f"it is {tensor.kind}, expected int8",
                "quantise the whole model (full integer, int8 in and out)",
            )
        elif tensor.is_constant and tensor.kind.startswith(("float", "complex")):
            yield Finding(
                where, f"its constant is {tensor.kind}, expected int8 or int32", "quantise the weights"
            )
        if any(not (math.isfinite(s) and s > 0) for s in tensor.scales):
            # "Internal compiler error", with a factor that is infinite: #350
            yield Finding(where, "a scale is zero or not finite", "calibrate again: a channel never changes")
        if tensor.is_constant or (is_input and layer.number):
            continue  # computed tensors are looked at where they are made
        if sum(size > 1 for size in tensor.shape) > 3 or any(size > 1 for size in tensor.shape[:-3]):
            yield Finding(
                where,
                f"its shape is {list(tensor.shape)}, only the innermost three dimensions may be greater than 1",
                "use batches of one picture",
            )
        if -1 in tensor.signature and not layer.number and is_input:
            yield Finding(
                where,
                f"its size was left open when it was converted ({list(tensor.signature)}) and is fixed in the file",
                "nothing to do as long as no SHAPE operation appears",
                fatal=False,
            )


def _at(layer: Layer, tensor: Tensor) -> str:
    return f"{layer.label}, tensor {tensor.label}"
