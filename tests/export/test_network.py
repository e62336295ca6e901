"""The network in C: every latent as TFLite's reference kernels and TFLite Micro have it; and bad files."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crc32c import crc32c
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.export.random_networks import random_network

from heliograph.codec import registry, tiles
from heliograph.device.runtime import Model, available
from heliograph.errors import ExportError
from heliograph.export import tflm
from heliograph.export.graph import read_graph
from heliograph.export.needs import Rows
from heliograph.export.network import multiplier_and_shift, network_file
from heliograph.pictures import load_srgb
from heliograph.samples import sample_pictures

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "toolkit/heliograph/csrc"
SOURCES = [CSRC / "heliograph.c", CSRC / "heliograph_net.c", Path(__file__).with_name("network_tiles.c")]
# For each kind of inner loop that this computer can run.
LOOPS = {"vectors": ["-O3"], "portable": ["-O2", "-U__SSE2__", "-U__ARM_NEON"]}


@pytest.fixture(scope="module", params=list(LOOPS))
def core(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The C sources as a library."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    library = tmp_path_factory.mktemp("core") / f"{request.param}.so"
    flags = ["-std=c99", *LOOPS[request.param], "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(
        [compiler, *flags, f"-I{CSRC}", *map(str, SOURCES), "-o", str(library)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


def latents_in_c(core: ctypes.CDLL, network: bytes, picture: np.ndarray, channels: int) -> np.ndarray:
    """Latents of a picture whose sides are multiples of 16."""
    rows, columns = picture.shape[0] // 16, picture.shape[1] // 16
    out = np.full((rows, columns, channels), 99, np.int8)
    pixels = np.ascontiguousarray(picture)
    failed = core.network_run(
        network,
        ctypes.c_size_t(len(network)),
        pixels.ctypes.data_as(ctypes.c_void_p),
        rows,
        columns,
        out.ctypes.data_as(ctypes.c_void_p),
    )
    assert failed == 0
    return out


def latents_by_reference(model: bytes, picture: np.ndarray, tile: int, channels: int) -> np.ndarray:
    """The same by TFLite's reference kernels."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(
        model_content=model,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    out = np.empty((*tiles.latent_shape(picture.shape[1], picture.shape[0]), channels), np.int8)
    for (rows, columns), part in tiles.cut(picture, tile):
        interpreter.set_tensor(given, (part ^ 0x80).view(np.int8)[None])
        interpreter.invoke()
        latents = interpreter.get_tensor(result)[0]
        out[rows, columns] = latents[: rows.stop - rows.start, : columns.stop - columns.start]
    return out


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
@pytest.mark.parametrize("name", sorted(registry.shipped()))
def test_latents_of_photographs_are_the_reference_kernels(name: str, core: ctypes.CDLL) -> None:
    codec = registry.open_codec(name)
    network = network_file(read_graph(codec.encoder), codec.tile, codec.outputs)
    for path in sample_pictures(colour_only=True)[:4]:
        picture = load_srgb(path)[:384, :400]  # whole tiles, and parts of tiles at the edges
        picture = picture[: picture.shape[0] // 16 * 16, : picture.shape[1] // 16 * 16]
        expected = latents_by_reference(codec.encoder, picture, codec.tile, codec.outputs)
        assert np.array_equal(latents_in_c(core, network, picture, codec.outputs), expected), path.name


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
def test_latents_are_those_of_every_runtimes_reference_kernels(core: ctypes.CDLL) -> None:
    codec = registry.open_codec("microcontroller")
    network = network_file(read_graph(codec.encoder), codec.tile, codec.outputs)
    picture = load_srgb(sample_pictures(colour_only=True)[1])[: codec.tile, : codec.tile]
    ours = latents_in_c(core, network, picture, codec.outputs)
    assert {"litert", "tf.lite"} <= set(available())
    for runtime in available():
        model = Model(codec.encoder, runtime=runtime, reference=True)
        assert np.array_equal(model((picture ^ 0x80).view(np.int8)), ours), runtime


@pytest.mark.parametrize("name", sorted(registry.shipped()))
def test_latents_are_those_of_tflite_micro(name: str, core: ctypes.CDLL) -> None:
    codec = registry.open_codec(name)
    network = network_file(read_graph(codec.encoder), codec.tile, codec.outputs)
    picture = load_srgb(sample_pictures(colour_only=True)[0])[: codec.tile, : codec.tile]
    found, _ = tflm.run(codec.encoder, (picture ^ 0x80).view(np.int8)[None], 1 << 20)
    assert np.array_equal(latents_in_c(core, network, picture, codec.outputs), found[0])


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 1 << 32), side=st.integers(1, 5), rows=st.integers(1, 7), columns=st.integers(1, 7)
)
def test_random_networks_are_the_reference_kernels(
    core: ctypes.CDLL, seed: int, side: int, rows: int, columns: int
) -> None:
    model, channels = random_network(seed, side)
    network = network_file(read_graph(model), 16 * side, channels)
    # Smooth and rough places: a small picture, enlarged, and noise.
    draw = np.random.default_rng(seed)
    picture = draw.integers(0, 256, (2 * rows, 2 * columns, 3)).repeat(8, 0).repeat(8, 1)
    picture = np.clip(picture + draw.integers(-20, 21, picture.shape), 0, 255).astype(np.uint8)
    expected = latents_by_reference(model, picture, 16 * side, channels)
    assert np.array_equal(latents_in_c(core, network, picture, channels), expected)


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
def test_random_networks_have_latents_of_all_sizes() -> None:
    """Else their equality says little: values at the ends of the range hide what is before them."""
    picture = np.random.default_rng(5).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    found = [
        latents_by_reference(model, picture, 32, n) for model, n in (random_network(s, 2) for s in range(12))
    ]
    inside = [float(np.mean((x > -128) & (x < 127))) for x in found]
    assert np.mean(inside) > 0.5
    assert np.mean([len(np.unique(x)) / x.size for x in found]) > 0.3


def test_scales_are_rounded_as_tflite_does() -> None:
    assert multiplier_and_shift(0.5) == (1 << 30, 0)
    assert multiplier_and_shift(1 / 3) == (1431655765, 1)  # 2/3 * 2^31 = 1431655765.33
    assert multiplier_and_shift(0.0) == (0, 0)
    assert multiplier_and_shift(2.0**-40) == (0, 0)
    with pytest.raises(ExportError, match="scales its sums by 2, expected at most 1"):
        multiplier_and_shift(2.0)


def test_what_the_network_in_c_lacks_is_refused(altered: Callable[[Callable[[Any], None]], bytes]) -> None:
    def refused(change: Callable[[Any], None]) -> str:
        with pytest.raises(ExportError) as caught:
            network_file(read_graph(altered(change)), 256, 416)
        return str(caught.value)

    def average(model: Any) -> None:
        code = next(c for c in model.operatorCodes if c.builtinCode == 17)  # MAX_POOL_2D
        code.builtinCode = code.deprecatedBuiltinCode = 1

    def option(number: int, name: str, value: int) -> Callable[[Any], None]:
        return lambda model: setattr(model.subgraphs[0].operators[number].builtinOptions, name, value)

    assert "is none of CONV_2D, MAX_POOL_2D, ADD, CONCATENATION; use an encoder of" in refused(average)
    assert "a window of 2x2 and stride 3" in refused(option(0, "strideH", 3))
    assert "another padding" in refused(option(0, "padding", 0))
    assert "dilation" in refused(option(1, "dilationHFactor", 2))
    assert "activation 3, expected none or ReLU" in refused(option(2, "fusedActivationFunction", 3))
    assert "another window than 2x2" in refused(option(3, "filterHeight", 3))
    assert "other than two parts by channel" in refused(option(6, "axis", 1))
    graph = read_graph(altered(lambda model: None))
    with pytest.raises(
        ExportError, match=r"the encoder maps \[.*\], expected \[\(1, 48, 48, 3\), \(1, 3, 3, 7\)\]"
    ):
        network_file(graph, 48, 7)


def sealed(body: bytes) -> bytes:
    """A network file with the check sum that it should have."""
    return body + struct.pack("<I", crc32c(body))


def test_files_that_break_a_rule_are_refused(core: ctypes.CDLL) -> None:
    codec = registry.open_codec("microcontroller")
    good = network_file(read_graph(codec.encoder), codec.tile, codec.outputs)[:-4]
    sizes = (ctypes.c_uint32 * 96)()

    def opens(data: bytes) -> bool:
        return bool(core.network_sizes(data, ctypes.c_size_t(len(data)), 1, sizes) >= 0)

    assert opens(sealed(good))
    assert not opens(good + bytes(4))  # the check sum
    assert not any(opens(sealed(good[:n])) for n in (0, 3, 11, 12, 15, 16, 40, len(good) - 4))
    assert not opens(sealed(good + bytes(4)))
    # Byte by byte of the head and the first layer: a value that is out of its range, or does not fit the others.
    for at, value in (
        (0, 0),
        (4, 97),
        (5, 8),
        (6, 95),
        (8, 6),
        (8, 8),
        (9, 1),
        (12, 0),
        (12, 5),
        (13, 4),
        (14, 1),
    ):
        assert not opens(sealed(good[:at] + bytes([value]) + good[at + 1 :])), (at, value)
    first = 12 + 4 + 8  # the first bias
    count = (
        read_graph(codec.encoder).layers[0].outputs[0].shape[3]
    )  # of biases, then multipliers, then shifts
    assert not opens(sealed(good[:first] + struct.pack("<i", (1 << 30) + 1) + good[first + 4 :]))
    assert not opens(
        sealed(good[: first + 4 * count] + struct.pack("<I", 1 << 31) + good[first + 4 * count + 4 :])
    )  # a multiplier
    assert not opens(
        sealed(good[: first + 8 * count] + bytes([32]) + good[first + 8 * count + 1 :])
    )  # a shift


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 1 << 32), side=st.integers(1, 6), across=st.integers(1, 60))
def test_what_is_counted_without_a_compiler_is_what_c_asks_for(
    core: ctypes.CDLL, seed: int, side: int, across: int
) -> None:
    model, channels = random_network(seed, side)
    graph = read_graph(model)
    network, rows = network_file(graph, 16 * side, channels), Rows(graph, 16 * side)
    sizes = (ctypes.c_uint32 * 128)()
    assert core.network_sizes(network, ctypes.c_size_t(len(network)), across, sizes) == len(graph.layers) + 1
    lines = rows.lines()
    assert (lines.scratch, lines.kept * across + lines.halo) == (sizes[0], sizes[1])
    for n in range(1, side + 1):
        assert core.network_rests(network, ctypes.c_size_t(len(network)), n) == rows.rests(n)
        assert core.network_divides(network, ctypes.c_size_t(len(network)), n) == rows.divides(n)


def test_little_is_kept_between_bands(core: ctypes.CDLL) -> None:
    """Of the microcontroller's: one row at 1/4 and one of what the last layer reads, within a row of latents."""
    codec = registry.open_codec("microcontroller")
    network = network_file(read_graph(codec.encoder), codec.tile, codec.outputs)
    sizes = (ctypes.c_uint32 * 96)()
    assert core.network_sizes(network, ctypes.c_size_t(len(network)), 40, sizes) == 5
    assert sizes[1] == 48 * 160 + 128 * 80
    # A chain keeps nothing between rows of latents.
    assert [core.network_rests(network, ctypes.c_size_t(len(network)), n) for n in (1, 3, 6)] == [1, 1, 1]
    codec = registry.open_codec("accelerator")
    network = network_file(read_graph(codec.encoder), codec.tile, codec.outputs)
    assert [core.network_rests(network, ctypes.c_size_t(len(network)), n) for n in (1, 8, 16)] == [0, 0, 1]
