"""The camera in plain C, as exported: its streams, its memory, its budget, and what it says when something fails."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.export.camera_program import (
    BAD_CODEC,
    BAD_SIZE,
    NO_MEMORY,
    NO_ROW,
    NOT_SENT,
    OK,
    OVER,
    Program,
    flat,
)
from tests.export.random_networks import codec_with_copies, overlapping_network

from heliograph.codec import registry
from heliograph.codec.codec import Codec
from heliograph.codec.distortion import STRENGTH
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import LatentEncoder
from heliograph.device.runtime import Model
from heliograph.export import camera_source
from heliograph.export.camera_boards import expected_stream, reference_latents
from heliograph.export.graph import read_graph
from heliograph.export.needs import Rows, side_of_slices
from heliograph.export.network import network_file
from heliograph.export.probe import synthetic_picture

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="module")
def small(program: Program) -> Program:
    """The microcontroller's."""
    return program


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The accelerator's, whose slices are smaller than its tiles."""
    return Program(registry.open_codec("accelerator"), tmp_path_factory.mktemp("camera"))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (96, 96), (97, 33), (40, 200), (225, 130)])
@pytest.mark.parametrize("layered", [False, True])
def test_the_stream_is_that_of_the_reference_kernels(
    small: Program, width: int, height: int, layered: bool
) -> None:
    picture = synthetic_picture(240)[:height, :width]
    status, stream, camera, asked = small.encode(flat(picture), width, layered=layered)
    assert status == OK
    latents = reference_latents(small.codec, picture)
    side = small.needs.side
    assert side == 6
    assert stream == expected_stream(small.codec, latents, width, height, 623, side=side, layered=layered)
    assert (camera.coded, camera.size) == (623, len(stream))
    assert asked == list(range(height))
    decoded = decode_stream(stream, small.codec)
    assert (decoded.width, decoded.height) == (width, height)


@pytest.mark.parametrize(("width", "height"), [(300, 140), (257, 270)])
def test_slices_smaller_than_tiles(large: Program, width: int, height: int) -> None:
    picture = synthetic_picture(304)[:height, :width]
    status, stream, _, _ = large.encode(flat(picture), width, quality=30)
    assert status == OK
    assert large.needs.side == 8
    latents = reference_latents(large.codec, picture)
    assert stream == expected_stream(large.codec, latents, width, height, 463, side=8)


class Arrays(ctypes.Structure):
    """hg_codec."""

    _fields_ = (
        *[(name, ctypes.c_char_p) for name in ("network", "entropy")],
        *[(name, ctypes.c_size_t) for name in ("network_size", "entropy_size")],
        ("id", ctypes.c_uint8 * 8),
        *[(name, ctypes.c_uint16) for name in ("side", "strength", "rounding")],
        ("copies", ctypes.POINTER(ctypes.c_uint16)),
    )


@pytest.mark.parametrize(("width", "height"), [(300, 260), (90, 530)])
def test_an_encoder_that_overlaps_in_slices_smaller_than_tiles(
    small: Program, width: int, height: int
) -> None:
    """Its rows at a strip's end are needed by the next strip, so that lines and workspace share no memory."""
    golden = Codec(GOLDEN / "codec")
    encoder = overlapping_network(3, 16, golden.channels)
    graph = read_graph(encoder)
    rows = Rows(graph, 256)
    assert (side_of_slices(rows, 16), rows.rests(8), rows.rests(16)) == (8, False, True)
    network, entropy = network_file(graph, 256, golden.channels), golden.read("entropy.bin")
    ident = (ctypes.c_uint8 * 8)(*golden.id)
    arrays = Arrays(network, entropy, len(network), len(entropy), ident, 8, STRENGTH, 128)
    picture = synthetic_picture(544)[:height, :width]
    status, stream, _, _ = small.encode(flat(picture), width, codec=arrays, spare=100_000)
    assert status == OK
    reference = LatentEncoder(Model(encoder, reference=True), tile=256, channels=golden.channels)
    assert stream == expected_stream(golden, reference.latents(picture), width, height, 623, side=8)


def test_latents_that_are_computed_several_times(tmp_path: Path) -> None:
    codec = codec_with_copies(tmp_path / "codec", (1, 5, 5, 5, 23))
    program, picture = Program(codec, tmp_path / "camera"), synthetic_picture(160)[:90, :150]
    assert program.memory(150, 90, 3, 5000) == program.needs.memory(
        150, 90, 5000, state=int(program.library.camera_state())
    )
    status, stream, _, _ = program.encode(flat(picture), 150, quality=100)
    assert status == OK
    latents = reference_latents(codec, picture)
    assert [bool((latents[..., one] % 16).any()) for one in (1, 5, 23, 0)] == [True, True, True, False]
    assert stream == expected_stream(codec, latents, 150, 90, 1023, side=4)
    without = latents // 16 * 16
    assert stream != expected_stream(codec, without, 150, 90, 1023, side=4)
    assert program.encode(flat(picture), 150, quality=100, codec=_without_copies(program))[0] == BAD_CODEC


def _without_copies(program: Program) -> Arrays:
    """Return a codec's arrays as if its network gave the latents alone."""
    arrays = Arrays.from_buffer_copy(Arrays.in_dll(program.library, "heliograph_codec"))
    arrays.copies = None
    return arrays


def as_rgb565(picture: np.ndarray) -> np.ndarray:
    r, g, b = (picture[..., i].astype(np.uint16) for i in range(3))
    return (r >> 3 << 11 | g >> 2 << 5 | b >> 3).astype("<u2")


def from_rgb565(picture: np.ndarray) -> np.ndarray:
    """Widened by repeating the upper bits."""
    r, g, b = picture >> 11, picture >> 5 & 63, picture & 31
    return np.stack([r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2], -1).astype(np.uint8)


def test_rgb565_of_both_byte_orders(small: Program) -> None:
    picture = as_rgb565(synthetic_picture(112)[:50, :99])
    wanted = small.encode(flat(from_rgb565(picture)), 99)[1]
    assert len(wanted) > 100
    assert small.encode(flat(picture.view(np.uint8)), 99, pixels="HG_RGB565")[1] == wanted
    assert small.encode(flat(picture.byteswap().view(np.uint8)), 99, pixels="HG_RGB565_SWAPPED")[1] == wanted


def test_grey(small: Program) -> None:
    picture = synthetic_picture(112)[:50, :99, 1]
    wanted = small.encode(flat(picture[..., None].repeat(3, -1)), 99)[1]
    assert small.encode(flat(picture), 99, pixels="HG_GREY")[1] == wanted


def test_yuv_of_both_orders_and_an_odd_width(small: Program) -> None:
    draw = np.random.default_rng(2)
    y = draw.integers(0, 256, (33, 52))
    u, v = (draw.integers(0, 256, (33, 26)) for _ in range(2))
    wide_u, wide_v = (x.repeat(2, 1) - 128 for x in (u, v))
    # BT.601, full range: 1.402 * 256 = 359, 0.344 * 256 = 88, 0.714 * 256 = 183, 1.772 * 256 = 454
    red = y + (359 * wide_v + 128 >> 8)
    green = y + (-88 * wide_u - 183 * wide_v + 128 >> 8)
    blue = y + (454 * wide_u + 128 >> 8)
    rgb = np.clip(np.stack([red, green, blue], -1), 0, 255).astype(np.uint8)
    wanted = small.encode(flat(rgb[:, :51]), 51)[1]
    yuyv = np.stack([y[:, ::2], u, y[:, 1::2], v], -1).astype(np.uint8)
    uyvy = np.stack([u, y[:, ::2], v, y[:, 1::2]], -1).astype(np.uint8)
    assert small.encode(flat(yuyv), 51, pixels="HG_YUYV")[1] == wanted
    assert small.encode(flat(uyvy), 51, pixels="HG_UYVY")[1] == wanted


@pytest.mark.parametrize("budget", [150, 400, 900, 2500])
def test_a_stream_fits_its_budget_and_uses_it(small: Program, budget: int) -> None:
    picture = synthetic_picture(192)
    status, stream, camera, asked = small.encode(flat(picture), 192, quality=100, budget=budget, passes=12)
    assert status == OK
    assert 0.8 * budget < len(stream) <= budget
    assert decode_stream(stream, small.codec).level == camera.coded < 1023
    assert len(asked) <= 12 * 192
    # The next picture begins where this one ended: one pass.
    status, again, after, asked = small.encode(
        flat(picture), 192, quality=100, budget=budget, passes=12, level=camera.level
    )
    assert (status, after.coded) == (OK, camera.coded)
    assert again == stream
    assert len(asked) == 192


def test_one_pass_that_is_over_says_where_to_begin(small: Program) -> None:
    rows = flat(synthetic_picture(192))
    status, stream, camera, asked = small.encode(rows, 192, quality=90, budget=1500)
    assert (status, stream) == (OVER, b"")
    assert camera.size > 1500  # about what it would have taken
    assert len(asked) == 192
    for _ in range(4):
        status, stream, camera, _ = small.encode(rows, 192, quality=90, budget=1500, level=camera.level)
        if status == OK:
            break
    assert status == OK
    assert 750 < len(stream) <= 1500


def test_no_level_is_small_enough(small: Program) -> None:
    status, stream, camera, _ = small.encode(flat(synthetic_picture(192)), 192, budget=24, passes=20)
    assert (status, stream, camera.level) == (OVER, b"", 0)


@pytest.mark.parametrize(("width", "height"), [(96, 96), (640, 30), (200, 300), (1280, 16)])
def test_the_memory_is_what_is_said_and_little_less_fails(small: Program, width: int, height: int) -> None:
    state = int(small.library.camera_state())
    for pixel, pixels in ((3, "HG_RGB888"), (2, "HG_RGB565"), (1, "HG_GREY")):
        said = small.memory(width, height, pixel, 5000)
        assert said == small.needs.memory(width, height, 5000, pixel=pixel, state=state)
        rows = np.zeros((height, width * pixel), np.uint8)
        assert small.encode(rows, width, pixels=pixels, budget=5000)[0] == OK
        layered = 4 * 3 * -(-width // 96) * -(-height // 96)  # lengths of segments that there are not
        whole = 0 if min(height, width) >= 96 else 3 * said // 5  # smaller than a slice: less would do
        spare = -60 - layered - whole
        assert small.encode(rows, width, pixels=pixels, budget=5000, spare=spare)[0] == NO_MEMORY


def test_rows_sink_and_codec_that_give_up(small: Program) -> None:
    rows = flat(synthetic_picture(96))
    status, stream, _, asked = small.encode(rows, 96, give_up_at=30)
    assert (status, stream, asked[-1]) == (NO_ROW, b"", 30)
    whole = small.encode(rows, 96)[1]
    status, stream, _, _ = small.encode(rows, 96, refuse=True)
    assert (status, stream) == (NOT_SENT, whole)
    assert small.encode(rows, 96, codec=ctypes.create_string_buffer(64))[0] == BAD_CODEC


def test_arguments_out_of_range(small: Program) -> None:
    rows = flat(synthetic_picture(96))
    assert small.encode(rows, 96, quality=101)[0] == BAD_SIZE
    assert small.encode(rows, 96, passes=0)[0] == BAD_SIZE
    assert small.encode(rows, 96, level=1025)[0] == BAD_SIZE
    assert small.encode(rows, 0)[0] == BAD_SIZE
    assert small.encode(rows, 65536, spare=-(1 << 20))[0] == BAD_SIZE


def run(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported files of the microcontroller's codec."""
    folder = tmp_path_factory.mktemp("bundle")
    for name, data in camera_source.sources(registry.open_codec("microcontroller")).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_it_compiles_as_it_is_without_a_warning(bundle: Path) -> None:
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-pedantic", "-Werror"]
    sources = ["main.c", "heliograph.c", "codec.c"]
    for compiler in filter(shutil.which, ("gcc", "clang")):
        done = run(bundle, compiler, "-std=c99", "-O2", *warnings, *sources, "-o", "heliograph")
        assert done.returncode == 0, done.stderr
    if shutil.which("c++"):
        done = run(bundle, "c++", "-Wall", "-Wextra", "-Werror", "-x", "c++", "-fsyntax-only", "codec.h")
        assert done.returncode == 0, done.stderr


def test_the_program_of_the_bundle_under_sanitizers(bundle: Path) -> None:
    """As make builds it, but watched: a picture becomes the stream that a budget allows, and errors are said."""
    flags = ["-std=c99", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    done = run(bundle, "cc", *flags, "main.c", "heliograph.c", "codec.c", "-o", "watched")
    if "cannot find" in done.stderr:
        pytest.skip("this compiler has no sanitizers")
    assert done.returncode == 0, done.stderr
    picture = synthetic_picture(208)[:150, :201]
    (bundle / "a.ppm").write_bytes(b"P6\n201 150\n255\n" + picture.tobytes())
    done = run(bundle, "./watched", "a.ppm", "a.helio", "60", "1200")
    assert done.returncode == 0, done.stderr
    told = re.fullmatch(r"(\d+) bytes at quality ([\d.]+), in (\d+) bytes of memory\n", done.stdout)
    assert told
    stream = (bundle / "a.helio").read_bytes()
    assert int(told[1]) == len(stream) <= 1200
    decoded = decode_stream(stream, registry.open_codec("microcontroller"))
    assert (decoded.width, decoded.height) == (201, 150)
    done = run(bundle, "./watched", "a.ppm", "b.helio", "60", "20")
    assert done.returncode == 1
    assert "not even the coarsest level fits the bytes" in done.stderr
    assert not (bundle / "b.helio").exists()
    (bundle / "cut.ppm").write_bytes((bundle / "a.ppm").read_bytes()[:5000])
    assert "the picture ends early" in run(bundle, "./watched", "cut.ppm", "b.helio").stderr
    assert "no binary PPM" in run(bundle, "./watched", "codec.h", "b.helio").stderr
