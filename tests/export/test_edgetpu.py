"""The static check for the Edge TPU: every shipped encoder passes, every broken rule is named with what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.codec import registry
from heliograph.codec.codec import PREVIEW, Codec
from heliograph.errors import ExportError
from heliograph.export import edgetpu
from heliograph.export.findings import Finding, refuse
from heliograph.export.graph import read_graph

Altered = Callable[[Callable[[Any], None]], bytes]


def fatal(data: bytes) -> list[str]:
    return [str(f) for f in edgetpu.check(read_graph(data)) if f.fatal]


@pytest.mark.parametrize("name", sorted(registry.shipped()))
def test_every_shipped_encoder_passes(name: str) -> None:
    graph = read_graph(registry.open_codec(name).encoder)
    findings = edgetpu.check(graph)
    assert [str(f) for f in findings if f.fatal] == []
    assert edgetpu.mapped(graph, findings) == len(graph.layers)


def test_the_small_codec_passes(codec: Codec) -> None:
    assert fatal(codec.encoder) == []


def test_depth_to_space_sends_the_rest_to_the_cpu(bad_models: Path) -> None:
    graph = read_graph((bad_models / "shuffled.tflite").read_bytes())
    findings = edgetpu.check(graph)
    assert edgetpu.mapped(graph, findings) == 1
    text = " ".join(map(str, findings))
    assert "layer 1 DEPTH_TO_SPACE (encoder" in text
    assert "it and what follows, 2 of 3 layers, would run on the CPU" in text
    assert "build the encoder from convolutions" in text
    with pytest.raises(
        ExportError, match=r"the encoder does not fit the Edge TPU: \d+ findings.*DEPTH_TO_SPACE"
    ):
        refuse(findings, "the Edge TPU")


def test_float_layers_are_named_with_their_tensors(bad_models: Path) -> None:
    found = fatal((bad_models / "float.tflite").read_bytes())
    assert any("EXP does not exist on the Edge TPU" in f for f in found)
    assert any("tensor" in f and "it is float32, expected int8; quantise the whole model" in f for f in found)


def test_the_preview_decoder_is_for_cpus(shipped: Codec) -> None:
    assert any("DEPTH_TO_SPACE" in f for f in fatal(shipped.read(PREVIEW)))


def version(model: Any) -> None:
    for code in model.operatorCodes:
        if code.builtinCode == 3:
            code.version = 5


def infinite(model: Any) -> None:
    graph = model.subgraphs[0]
    weights = graph.tensors[graph.operators[0].inputs[1]].quantization
    weights.scale = [float("inf")] * len(weights.scale)


def batch(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shape = [2, *graph.tensors[graph.inputs[0]].shape[1:]]


def open_size(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shape = [-1, *graph.tensors[graph.inputs[0]].shape[1:]]


def float_input(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].type = 0


def fused(model: Any) -> None:
    for operator in model.subgraphs[0].operators:
        if operator.builtinOptionsType == 5:
            operator.builtinOptions.fusedActivationFunction = 1


def dilated(model: Any) -> None:
    model.subgraphs[0].operators[2].builtinOptions.dilationHFactor = 2


def computed_weights(model: Any) -> None:
    graph = model.subgraphs[0]
    operator = graph.operators[0]
    model.buffers[graph.tensors[operator.inputs[1]].buffer].data = None


def two_graphs(model: Any) -> None:
    model.subgraphs.append(model.subgraphs[0])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (version, "version 5 of CONV_2D, compiler 16 rejects models with version 5 and later"),
        (infinite, "a scale is zero or not finite; calibrate again"),
        (batch, "only the innermost three dimensions may be greater than 1; use batches of one picture"),
        (open_size, "is not fixed; convert with a fixed input shape"),
        (float_input, "its end is float32, expected int8; convert with inference_input_type"),
        (fused, "MaxPool2d): it has a fused activation, expected none"),
        (dilated, "its dilation is 2 down, 1 across, expected equal"),
        (computed_weights, "parameters are computed, expected constants; freeze the weights"),
        (two_graphs, "it has 2 subgraphs, expected 1"),
    ],
)
def test_each_rule(altered: Altered, change: Callable[[Any], None], text: str) -> None:
    found = fatal(altered(change))
    assert any(text in f for f in found), found


def test_an_unchanged_copy_passes(altered: Altered) -> None:
    assert fatal(altered(lambda model: None)) == []


def test_memory_is_counted(monkeypatch: pytest.MonkeyPatch, shipped: Codec) -> None:
    graph = read_graph(shipped.encoder)
    parameters, activations = graph.parameter_bytes, graph.peak[0]
    monkeypatch.setattr(edgetpu, "CACHE_BYTES", parameters - 1)
    monkeypatch.setattr(edgetpu, "CHIP_BYTES", activations + parameters - 1)
    notes = [str(f) for f in edgetpu.check(graph)]
    assert any(
        f"{parameters} bytes of parameters, the on-chip cache holds about {parameters - 1}" in n
        for n in notes
    )
    assert any(
        f"{activations} bytes of activations and {parameters} of parameters exceed" in n for n in notes
    )
    monkeypatch.setattr(edgetpu, "CHIP_BYTES", activations - 1)
    assert any(f"{activations} bytes of activations are needed at once" in f for f in fatal(shipped.encoder))


def test_notes_do_not_refuse() -> None:
    refuse([Finding("model", "slow", "do less", fatal=False)], "anything")
