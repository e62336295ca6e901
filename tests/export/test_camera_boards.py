"""The camera in plain C on emulated Cortex-M4, M7 and M55: this computer's bytes, and the memory that was said.

Slow: it cross-compiles. Without the tools (`heliograph.export.cortexm.INSTALL` names them) the tests are skipped.
"""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec import registry, resize
from heliograph.codec.stream import decode_stream
from heliograph.errors import ExportError, RuntimeUnavailableError
from heliograph.export import camera_boards, camera_source, cortexm
from heliograph.export.camera_boards import (
    BOARDS,
    check,
    encode_on_board,
    expected_stream,
    reference_latents,
)
from heliograph.export.needs import (
    CODE,
    PACKETS_CODE,
    PACKETS_STATE,
    SCALING_CODE,
    SCALING_STATE,
    STACK,
    STATE,
    needs,
    packets_ram,
)
from heliograph.export.probe import synthetic_picture
from heliograph.packets.collector import Collector

needs_tools = pytest.mark.skipif(
    bool(cortexm.missing_tools()), reason=f"{', '.join(cortexm.missing_tools())} missing: {cortexm.INSTALL}"
)
PICTURE = synthetic_picture(224)


@pytest.mark.slow
@needs_tools
@pytest.mark.parametrize("board", list(BOARDS))
def test_the_bytes_and_the_memory_of_the_microcontroller(board: str) -> None:
    codec = registry.open_codec("microcontroller")
    found = needs(codec)
    for width, height, quality in ((96, 96, 50), (200, 131, 90)):
        picture = np.ascontiguousarray(PICTURE[:height, :width])
        run = encode_on_board(codec, picture, board, quality=quality)
        check(run, codec, picture)
        assert run.level == 223 + 8 * quality
        decoded = decode_stream(run.stream, codec)
        assert (decoded.width, decoded.height) == (width, height)
        # What is said without a compiler: never too little, and hardly too much.
        said = found.memory(width, height, camera_boards.BUDGET)
        assert said <= run.memory < said + 16
        assert 0.85 * STACK < run.stack <= STACK
        assert 0.9 * CODE < run.code <= CODE
        assert run.flash <= found.flash
        assert run.per_pixel("network") < (900 if board == "cortex-m55" else 2200)


@pytest.mark.slow
@needs_tools
def test_the_bytes_of_the_accelerator_and_a_budget() -> None:
    codec = registry.open_codec("accelerator")
    picture = np.ascontiguousarray(PICTURE[:100, :150])
    run = encode_on_board(codec, picture, "cortex-m7", quality=95, budget=1200)
    check(run, codec, picture)
    assert 900 < len(run.stream) <= 1200
    assert run.level < 223 + 8 * 95


@pytest.mark.slow
@needs_tools
def test_rows_of_a_sensor() -> None:
    """RGB565 as a sensor sends it: the low byte last."""
    codec = registry.open_codec("microcontroller")
    r, g, b = (PICTURE[:64, :96, i].astype(np.uint16) for i in range(3))
    packed = r >> 3 << 11 | g >> 2 << 5 | b >> 3
    wide = np.stack([packed >> 11, packed >> 5 & 63, packed & 31], -1)
    seen = (wide << [3, 2, 3] | wide >> [2, 4, 2]).astype(np.uint8)
    rows = packed.astype(">u2").view(np.uint8).reshape(64, 96, 2)
    run = encode_on_board(codec, rows, "cortex-m4", pixels="HG_RGB565_SWAPPED")
    check(run, codec, seen)


@pytest.mark.slow
@needs_tools
@pytest.mark.parametrize("board", list(BOARDS))
def test_packets_of_a_smaller_picture(board: str) -> None:
    codec = registry.open_codec("microcontroller")
    picture = np.ascontiguousarray(PICTURE[:130, :201])
    run = encode_on_board(codec, picture, board, scale=2, packets=(20, 111, 12))
    packets = [run.stream[at : at + 111] for at in range(0, len(run.stream), 111)]
    assert len(packets) == 20
    collector = Collector(None)
    for packet in packets[8:]:
        collector.take(packet)
    (name,) = collector.names()
    arrived = collector.best(name)
    assert arrived is not None
    assert arrived.is_whole
    small = resize.at_scale(picture, 2)
    latents = reference_latents(codec, small)
    side = needs(codec).side
    wanted = expected_stream(codec, latents, 201, 130, run.level, side=side, layered=True, scale=2)
    assert arrived.stream == wanted
    # Memory and code, as they are said without a compiler.
    budget = 101 * 12 // 6 * 5
    said = needs(codec).scaled_ram(201, 130, budget, 2) + packets_ram(111)
    assert said <= run.memory + run.more + STACK + 3 * 201 < said + 16
    assert run.stack <= STACK
    most = CODE + SCALING_CODE + PACKETS_CODE
    assert 0.9 * most < run.code <= most


@pytest.mark.slow
@needs_tools
def test_a_difference_is_an_error() -> None:
    codec = registry.open_codec("microcontroller")
    picture = np.ascontiguousarray(PICTURE[:32, :48])
    run = encode_on_board(codec, picture, "cortex-m4")
    with pytest.raises(
        ExportError, match=r"the emulated cortex-m4 made \d+ bytes, not the \d+ that were made here"
    ):
        check(dataclasses.replace(run, level=run.level + 8), codec, picture)
    with pytest.raises(ExportError, match="printed 'status 5"):  # HG_CAMERA_OVER
        encode_on_board(codec, picture, "cortex-m4", budget=20)


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_boards, "missing_tools", lambda: ["arm-none-eabi-gcc"])
    with pytest.raises(
        RuntimeUnavailableError, match="arm-none-eabi-gcc not installed: apt-get install gcc-arm"
    ):
        encode_on_board(registry.open_codec("microcontroller"), PICTURE, "cortex-m4")


@pytest.mark.slow
@needs_tools
def test_the_state_is_what_a_32_bit_compiler_makes_of_it(tmp_path: Path) -> None:
    (tmp_path / "heliograph.h").write_bytes(camera_source.header())
    (tmp_path / "state.c").write_text(
        f'#include "heliograph.h"\nchar exact[sizeof(hg_camera_state) == {STATE} ? 1 : -1];\n'
        f"char scaling[sizeof(hg_scaling) == {SCALING_STATE} ? 1 : -1];\n"
        f"char packets[sizeof(hg_packets) == {PACKETS_STATE} ? 1 : -1];\n"
    )
    command = [cortexm.COMPILER, *BOARDS["cortex-m7"].flags, "-std=c99", "-c", "state.c"]
    assert subprocess.run(command, cwd=tmp_path).returncode == 0


def test_slices_of_one_picture_are_coded_apart() -> None:
    codec = registry.open_codec("microcontroller")
    latents = np.random.default_rng(1).integers(-9, 10, (7, 13, codec.channels)).astype(np.int16)
    stream = expected_stream(codec, latents, 200, 100, 500, side=6)
    assert len(decode_stream(stream, codec).values) == 7
    assert (
        expected_stream(codec, latents[:6, :6], 96, 96, 500, side=6)[12:14] == b"\xf4\x01"
    )  # neither sliced nor parts
