"""The C around the core: sizes as the core says, streams as Python makes them, the example whole, on this computer."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.export.random_networks import codec_with_copies

from heliograph.codec import levels, registry
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import from_units
from heliograph.export import c_source, tflm
from heliograph.export.cortexm import tiles_of_latents
from heliograph.export.graph import read_graph

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parents[0] / "golden"
FLAGS = ["-std=c99", "-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=undefined"]
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-pedantic", "-Werror"]


@pytest.fixture(scope="module")
def compiler() -> str:
    """A C compiler."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler here")
    return found


def run(folder: Path, *command: object) -> str:
    """Run a command in a folder to its end; its output."""
    done = subprocess.run([str(c) for c in command], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("name", [*sorted(registry.shipped()), "golden"])
def test_the_workspace_is_what_the_core_asks_for(name: str, compiler: str, tmp_path: Path) -> None:
    found = Codec(GOLDEN / "codec") if name == "golden" else registry.open_codec(name)
    write(tmp_path, c_source.sources(found))
    (tmp_path / "ask.c").write_text(
        '#include <stdio.h>\n#include "codec.h"\n#include "heliograph.h"\n'
        "int main(void) { static hg_model m; if (hg_open(&m, heliograph_entropy, heliograph_entropy_size)) return 1;\n"
        'printf("%zu %d %d %d\\n", hg_workspace(&m, HELIOGRAPH_SIDE, HELIOGRAPH_SIDE, HG_ENCODE, 0),\n'
        "HELIOGRAPH_WORKSPACE, m.channels - HELIOGRAPH_CHANNELS, m.layers - HELIOGRAPH_LAYERS); return 0; }\n",
        encoding="utf-8",
    )
    run(tmp_path, compiler, "-std=c99", "ask.c", "codec.c", "heliograph.c", "-o", "ask")
    asked, generated, channels, layers = run(tmp_path, "./ask").split()
    assert asked == generated
    assert (channels, layers) == ("0", "0")


@pytest.mark.parametrize("kind", ["c99", "c++"])
def test_the_sources_have_no_warnings(kind: str, compiler: str, codec: Codec, tmp_path: Path) -> None:
    """As C; and the headers as C++, which firmware often is."""
    write(tmp_path, c_source.sources(codec) | c_source.network_files(codec.encoder))
    if kind == "c99":
        for name in ("picture.c", "codec.c", "encoder_model.c", "main.c", "board_file.c"):
            run(tmp_path, compiler, "-std=c99", *WARNINGS, "-c", name)
        return
    (tmp_path / "all.cc").write_text(
        '#include "picture.h"\n#include "encoder.h"\n#include "encoder_model.h"\nint main() { return 0; }\n'
    )
    run(tmp_path, compiler, "-x", "c++", "-Wall", "-Wextra", "-Werror", "-c", "all.cc")


@pytest.fixture(scope="module")
def example(compiler: str, codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example on this computer, with recorded latents in the network's place."""
    folder = tmp_path_factory.mktemp("example")
    write(folder, c_source.sources(codec))
    shutil.copy(HERE / "encoder_recorded.c", folder)
    names = ("main.c", "picture.c", "heliograph.c", "codec.c", "board_file.c", "encoder_recorded.c")
    run(folder, compiler, *FLAGS, "-DHELIOGRAPH_STORE=1000000", *names, "-o", "example")
    return folder


def test_latents_that_are_computed_several_times(compiler: str, tmp_path: Path) -> None:
    codec, folder = codec_with_copies(tmp_path / "codec", (0, 7, 7, 7)), tmp_path / "example"
    write(folder, c_source.sources(codec))
    shutil.copy(HERE / "encoder_recorded.c", folder)
    names = ("main.c", "picture.c", "heliograph.c", "codec.c", "board_file.c", "encoder_recorded.c")
    run(folder, compiler, *FLAGS, *WARNINGS, *names, "-o", "example")
    units = np.random.default_rng(2).integers(-60, 60, (4, 6, codec.outputs)).astype(np.int8)
    Image.new("RGB", (96, 64)).save(folder / "picture.ppm")
    (folder / "latents.bin").write_bytes(tiles_of_latents(units, 4).tobytes())
    (folder / "quality.txt").write_text("100\n", encoding="ascii")
    run(folder, "./example")
    expected = Packer(codec, from_units(units, codec.copies), 96, 64, slice_tiles=1, whole=True).at(1023)
    assert (folder / "stream.helio").read_bytes() == expected


@pytest.fixture(scope="module")
def under_tflm(codec: Codec) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.int8]]:
    """Latents int8 [N, side, side, C] of a picture's tiles under TFLM, in the arena that firmware reserves."""
    arena = tflm.arena_for_device(tflm.measure_arena(codec.encoder, read_graph(codec.encoder)))
    known: dict[tuple[int, ...], npt.NDArray[np.int8]] = {}

    def latents(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
        if picture.shape not in known:
            (height, width, _), step = picture.shape, codec.tile
            down, across = -(-height // step), -(-width // step)
            padded = np.pad(
                picture, ((0, down * step - height), (0, across * step - width), (0, 0)), mode="edge"
            )
            cut = (
                padded.reshape(down, step, across, step, 3)
                .transpose(0, 2, 1, 3, 4)
                .reshape(-1, step, step, 3)
            )
            known[picture.shape], _ = tflm.run(codec.encoder, (cut ^ 0x80).view(np.int8), arena)
        return known[picture.shape]

    return latents


@pytest.mark.parametrize(("width", "height"), [(256, 256), (40, 300), (600, 300), (1, 1)])
@pytest.mark.parametrize("quality", [0, 35, 100])
def test_the_example_makes_the_bytes_that_python_makes(
    example: Path,
    codec: Codec,
    paint: Callable[..., npt.NDArray[np.uint8]],
    under_tflm: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.int8]],
    width: int,
    height: int,
    quality: int,
) -> None:
    """The int8 model under TFLM, then the example in C, then the host's decoder."""
    picture, side = paint(width, height), codec.tile // 16
    parts = under_tflm(picture)
    down, across = -(-height // codec.tile), -(-width // codec.tile)
    units = parts.reshape(down, across, side, side, -1).transpose(0, 2, 1, 3, 4)
    units = units.reshape(down * side, across * side, -1)[: -(-height // 16), : -(-width // 16)]

    Image.fromarray(picture).save(example / "picture.ppm")
    (example / "latents.bin").write_bytes(parts.tobytes())
    (example / "quality.txt").write_text(f"{quality}\n", encoding="ascii")
    run(example, "./example")
    made = (example / "stream.helio").read_bytes()

    level = levels.from_quality(quality)
    assert made == Packer(
        codec, from_units(units, codec.copies), width, height, slice_tiles=1, whole=True
    ).at(level)
    decoded = decode_stream(made, codec)
    assert (decoded.width, decoded.height, decoded.level) == (width, height, level)
    assert decoded.values.any()


def test_latents_are_cut_into_tiles() -> None:
    latents = np.arange(3 * 5 * 2, dtype=np.int8).reshape(3, 5, 2)
    parts = tiles_of_latents(latents, 2)
    assert parts.shape == (6, 2, 2, 2)
    np.testing.assert_array_equal(parts[0], latents[:2, :2])
    np.testing.assert_array_equal(parts[5][0, 0], latents[2, 4])
    assert not parts[5][1].any()
    assert not parts[5][0, 1].any()


def test_a_store_that_is_too_small_is_an_error_not_a_stream(
    compiler: str, codec: Codec, tmp_path: Path
) -> None:
    write(tmp_path, c_source.sources(codec))
    shutil.copy(HERE / "encoder_recorded.c", tmp_path)
    names = ("main.c", "picture.c", "heliograph.c", "codec.c", "board_file.c", "encoder_recorded.c")
    run(tmp_path, compiler, *FLAGS, "-DHELIOGRAPH_STORE=600", *names, "-o", "example")
    noise = np.random.default_rng(0).integers(-90, 90, (1, codec.tile // 16, codec.tile // 16, codec.outputs))
    (tmp_path / "latents.bin").write_bytes(noise.astype(np.int8).tobytes())
    Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(tmp_path / "picture.ppm")
    done = subprocess.run(["./example"], cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 3, "HG_PICTURE_NO_SPACE"
    assert (tmp_path / "stream.helio").read_bytes() == b""


def test_too_many_tiles_are_refused(compiler: str, codec: Codec, tmp_path: Path) -> None:
    write(tmp_path, c_source.sources(codec))
    shutil.copy(HERE / "encoder_recorded.c", tmp_path)
    names = ("main.c", "picture.c", "heliograph.c", "codec.c", "board_file.c", "encoder_recorded.c")
    run(tmp_path, compiler, *FLAGS, "-DHELIOGRAPH_MAX_TILES=3", *names, "-o", "example")
    (tmp_path / "latents.bin").write_bytes(b"")
    Image.fromarray(np.zeros((512, 512, 3), np.uint8)).save(tmp_path / "picture.ppm")
    assert subprocess.run(["./example"], cwd=tmp_path, timeout=60).returncode == 2, "HG_PICTURE_BAD_SIZE"


def test_headers_are_written_as_python_writes_them(compiler: str, tmp_path: Path) -> None:
    """Parse every golden stream's header and write it again."""
    write(tmp_path, {f: c_source.core_file(f) for f in c_source.CORE_FILES})
    shutil.copy(HERE / "rewrite_header.c", tmp_path)
    run(tmp_path, compiler, *FLAGS, "rewrite_header.c", "heliograph.c", "-o", "rewrite")
    streams = sorted(GOLDEN.glob("*.helio"))
    assert streams
    for path in streams:
        data = path.read_bytes()
        (tmp_path / "in").write_bytes(data)
        size = int(run(tmp_path, "./rewrite"))
        assert (tmp_path / "out").read_bytes() == data[:size], path.name


def test_arrays_hold_the_bytes() -> None:
    data = hashlib.sha256(b"x").digest()
    text = c_source.byte_lines(data)
    assert bytes(int(t) for t in text.replace("\n", "").split(",") if t.strip()) == data
    assert len(text.splitlines()) == 2
