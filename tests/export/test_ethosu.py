"""Vela, really run: shipped encoders land on the accelerator and keep it busy, bad ones are refused by layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.codec import registry
from heliograph.errors import ExportError, RuntimeUnavailableError
from heliograph.export import ethosu
from heliograph.export.ethosu import Compiled, LayerResult, compile_model, findings
from heliograph.export.graph import Graph, Layer, Tensor, read_graph


def compiled(data: bytes, accelerator: str = "ethos-u55-128") -> tuple[Compiled, list[str]]:
    graph = read_graph(data)
    one = compile_model(data, graph, accelerator)
    return one, [str(f) for f in findings(one, graph)]


@pytest.mark.parametrize("accelerator", list(ethosu.ACCELERATORS))
@pytest.mark.parametrize("name", sorted(registry.shipped()))
def test_every_shipped_encoder_fits(name: str, accelerator: str) -> None:
    codec = registry.open_codec(name)
    one, found = compiled(codec.encoder, accelerator)
    assert found == []
    assert one.on_npu == 1
    assert one.macs == read_graph(codec.encoder).macs
    assert one.model[4:8] == b"TFL3"
    assert b"ethos-u" in one.model  # the custom operation
    assert 0 < one.sram < 2 << 20
    assert 0 < one.utilisation_with_waits <= one.utilisation <= 1
    assert one.busy_cycles <= one.cycles


def test_stride_four_is_cut_to_pieces(bad_models: Path) -> None:
    one, found = compiled((bad_models / "stride4.tflite").read_bytes())
    assert one.on_npu == 1, "on the accelerator, and yet"
    assert one.utilisation < 0.05
    assert any("layer 0 CONV_2D (encoder" in f and "Vela cuts it into 576 operations" in f for f in found)
    assert any("replace a stride above 3 by layers of stride 2" in f for f in found)
    assert any("of the multipliers are used, expected 50% at least" in f for f in found)


def test_layers_on_the_cpu_are_named(bad_models: Path) -> None:
    one, found = compiled((bad_models / "shuffled.tflite").read_bytes())
    assert one.on_npu == pytest.approx(2 / 3)
    assert any(
        "layer 1 DEPTH_TO_SPACE (encoder" in f and "runs on the CPU, expected the NPU" in f for f in found
    )


def test_what_vela_renames_is_found_again() -> None:
    """A convolution that writes straight into a concatenation goes by the concatenation's name."""

    def tensor(index: int, name: str) -> Tensor:
        return Tensor(index, name, "int8", (1, 4, 4, 8), (), (), (), 0)

    image, left, right, both = (tensor(n, name) for n, name in enumerate(("image", "left", "right", "both")))
    layers = (
        Layer(0, "CONV_2D", 1, (image,), (left,), {}),
        Layer(1, "MAX_POOL_2D", 1, (image,), (right,), {}),
        Layer(2, "CONCATENATION", 1, (left, right), (both,), {}),
    )
    graph = Graph(layers, (image, left, right, both), (image,), (both,), 1)
    results = tuple(LayerResult("both", kind, True, 1, 1000, 1) for kind in ("Conv2D", "MaxPool2D"))
    one = Compiled("ethos-u55-128", b"", "s", "m", 1, 1, 2000, 2000, 5e8, 2, results)
    found = [str(f) for f in findings(one, graph)]
    assert found[0].startswith(
        "error: layer 0 CONV_2D (left) on ethos-u55-128: it keeps 0% of the multipliers busy"
    )
    assert found[1].startswith("error: layer 1 MAX_POOL_2D (right)")


def test_macs_on_the_cpu_do_not_count(bad_models: Path) -> None:
    one, _ = compiled((bad_models / "float.tflite").read_bytes())
    assert one.macs == 48 * 48 * 48 * 12
    assert one.utilisation < 0.5


def test_utilisation_is_of_the_named_accelerator() -> None:
    layers = (LayerResult("a", "Conv2D", True, 1, 1000, 64_000),)
    one = Compiled("ethos-u55-128", b"", "s", "m", 1, 1, 800, 1000, 5e8, 64_000, layers)
    assert (one.utilisation, one.utilisation_with_waits) == (0.625, 0.5)
    assert one.milliseconds == pytest.approx(0.002)
    assert ethosu.table([one], 10)[1] == (
        "ethos-u55-128",
        "100%",
        "62%",
        "50%",
        "0",
        "0",
        "1",
        "0.00",
        "20.0",
    )


def test_a_missing_vela_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    graph = read_graph(registry.open_codec("accelerator").encoder)
    with pytest.raises(
        RuntimeUnavailableError, match=r"is not a program.*pip install 'tflite>=2.18' .*'ethos-u-vela>=5.2'"
    ):
        compile_model(b"", graph, "ethos-u55-128", vela=str(tmp_path / "vela"))


def test_a_failing_vela_is_quoted() -> None:
    codec = registry.open_codec("accelerator")
    with pytest.raises(ExportError, match=r"vela failed for ethos-u55-128: .*Nowhere"):
        compile_model(codec.encoder, read_graph(codec.encoder), "ethos-u55-128", system="Nowhere")
