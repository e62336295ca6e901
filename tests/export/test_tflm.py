"""TensorFlow Lite Micro: arenas are measured, and what firmware reserves is enough."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec import registry
from heliograph.codec.codec import Codec
from heliograph.device.encoder import Encoder
from heliograph.errors import ExportError
from heliograph.export import c_source, tflm
from heliograph.export.graph import read_graph

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("name", sorted(registry.shipped()))
def test_the_reserved_arena_is_enough_and_little_more(name: str) -> None:
    codec = registry.open_codec(name)
    graph = read_graph(codec.encoder)
    arena = tflm.measure_arena(codec.encoder, graph)
    assert arena.total == arena.head + arena.tail
    # TFLM's planner leaves gaps: of the accelerator's tensors, 442,368 bytes alive at once take 540,672.
    assert graph.peak[0] <= arena.head < 1.25 * graph.peak[0]
    picture = np.zeros((1, codec.tile, codec.tile, 3), np.int8)
    outputs, again = tflm.run(codec.encoder, picture, tflm.arena_for_device(arena))
    assert again.head == arena.head
    assert abs(again.tail - arena.tail) < 16  # what stands at the arena's end is aligned from its address
    assert outputs.shape == (1, codec.tile // 16, codec.tile // 16, codec.outputs)
    with pytest.raises(ExportError, match=r"TFLM cannot run the encoder in an arena of \d+ bytes: "):
        tflm.run(codec.encoder, picture, arena.total - 1024)


def test_its_latents_are_near_the_runtimes(shipped: Codec) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (shipped.tile, shipped.tile, 3)).astype(np.uint8)
    found, _ = tflm.run(shipped.encoder, (picture ^ 0x80).view(np.int8)[None], 1 << 20)
    other = Encoder(shipped).units(picture)
    apart = np.abs(found[0].astype(int) - other.astype(int))
    assert apart.max() <= 6  # a unit of one layer is several of the next
    assert (apart == 0).mean() > 0.75


def test_only_the_operations_there_are_get_linked(shipped: Codec) -> None:
    graph = read_graph(shipped.encoder)
    source = tflm.runner_source(graph, tflm.Arena(1000, 900, 100)).decode()
    assert f"MicroMutableOpResolver<{len(graph.kinds)}>" in source
    assert source.count("resolver.Add") == len(graph.kinds)
    assert "resolver.AddConv2D()" in source
    assert "#define HELIOGRAPH_ARENA 2048" in source


def test_operations_firmware_has_no_name_for_are_refused(bad_models: Path) -> None:
    graph = read_graph((bad_models / "shuffled.tflite").read_bytes())
    with pytest.raises(
        ExportError, match="the encoder has DEPTH_TO_SPACE; firmware is written for ADD, AVERAGE"
    ):
        tflm.resolver_calls(graph)


def test_the_allocators_report_is_read() -> None:
    sizes = {"total": 61136, "head": 55296, "tail": 5840}
    text = "".join(f"[X] Arena allocation {part} {size} bytes\n" for part, size in sizes.items())
    assert tflm.read_allocations(text) == tflm.Arena(61136, 55296, 5840)
    with pytest.raises(ExportError, match="printed no arena sizes"):
        tflm.read_allocations("")


def test_the_runner_is_cpp_that_a_compiler_reads(shipped: Codec, tmp_path: Path) -> None:
    """Against declarations of TFLM's interface, since TFLM itself comes as source: its grammar and types, no more."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler here")
    graph = read_graph(shipped.encoder)
    (tmp_path / "encoder_tflm.cc").write_bytes(tflm.runner_source(graph, tflm.Arena(1000, 900, 100)))
    for name, data in (c_source.sources(shipped) | c_source.network_files(b"TFL3")).items():
        (tmp_path / name).write_bytes(data)
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{HERE / 'tflm_declarations'}"]
    done = subprocess.run([compiler, *flags, "encoder_tflm.cc"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
