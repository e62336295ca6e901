"""The C core on an emulated Cortex-M: the bytes that Python makes, golden streams, and what it takes.

Slow: it cross-compiles. Without the tools (`heliograph.export.cortexm.INSTALL` names them) the tests are skipped.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec import container, levels, registry
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.errors import ExportError, RuntimeUnavailableError
from heliograph.export import cortexm
from heliograph.export.probe import probe_latents

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
needs_tools = pytest.mark.skipif(
    bool(cortexm.missing_tools()), reason=f"{', '.join(cortexm.missing_tools())} missing: {cortexm.INSTALL}"
)


@pytest.mark.slow
@needs_tools
@pytest.mark.parametrize("board", list(cortexm.BOARDS))
@pytest.mark.parametrize("name", sorted(registry.shipped()))
def test_the_bytes_are_those_of_python(name: str, board: str) -> None:
    codec = registry.open_codec(name)
    probe = probe_latents(codec, None)
    for quality in (0, 50, 100):
        level = levels.from_quality(quality)
        own = Packer(codec, probe.latents, probe.width, probe.height, slice_tiles=1, strength=0).at(level)
        found = cortexm.measure(
            codec, probe.latents, probe.width, probe.height, level, board=board, streams={"own": own}
        )
        cortexm.check(found, codec, probe.latents, probe.width, probe.height, level)
        assert found.stream == own
        assert found.failures == {}
        assert found.symbols["own"] == symbols_by_slice(codec, own)
        # The counter itself: a loop of two million instructions, and the few around it.
        assert 2_000_000 <= found.calibration < 2_000_100
        assert (
            0 < found.stack <= found.stack_bound + 600
        )  # what is counted here includes the frames around the call
        assert found.encoder_flash < 12_000
        assert found.instructions / found.pixels < 2_000


def symbols_by_slice(codec: Codec, data: bytes) -> bytes:
    """The symbols of a stream in coding order, slice after slice, as the board writes them."""
    stream = container.open(data)
    header, count = stream.header, stream.header.slice_count
    out = []
    for number, (rows, columns) in enumerate(header.slices):
        parts = [stream.segment(p * count + number) or b"" for p in range(header.parts)]
        size = rows.stop - rows.start, columns.stop - columns.start
        out.append(codec.coder.decode(parts, *size, header.level, merged=header.parts == 1).symbols.tobytes())
    return b"".join(out)


@pytest.mark.slow
@needs_tools
def test_golden_streams_decode_on_the_board() -> None:
    codec = Codec(GOLDEN / "codec")
    expected = json.loads((GOLDEN / "streams.json").read_text(encoding="utf-8"))
    streams = {name: (GOLDEN / f"{name}.helio").read_bytes() for name in expected}
    found = cortexm.measure(codec, None, 0, 0, 0, board="cortex-m3", streams=streams)
    assert found.failures == {}
    for name, data in streams.items():
        assert found.symbols[name] == symbols_by_slice(codec, data), name
        if (
            container.open(data).header.slice_count == 1
        ):  # in one slice the golden hash is over these very bytes
            ordered = np.frombuffer(found.symbols[name], np.int16).reshape(-1, codec.channels)
            restored = codec.coder.model.restore_order(ordered)
            assert hashlib.sha256(restored.astype("<i2").tobytes()).hexdigest() == expected[name]["symbols"]


@pytest.mark.slow
@needs_tools
def test_damaged_streams_fail_on_the_board() -> None:
    codec = Codec(GOLDEN / "codec")
    streams = {path.stem: path.read_bytes() for path in sorted((GOLDEN / "errors").glob("*.helio"))}
    found = cortexm.measure(codec, None, 0, 0, 0, board="cortex-m3", streams=streams)
    assert set(found.failures) == set(streams)
    assert found.symbols == {}


@pytest.mark.slow
@needs_tools
def test_a_difference_is_an_error(random_latents: np.ndarray) -> None:
    codec = Codec(GOLDEN / "codec")
    level = levels.from_quality(40)
    found = cortexm.measure(codec, random_latents, 64, 64, level, board="cortex-m3")
    cortexm.check(found, codec, random_latents, 64, 64, level)
    with pytest.raises(
        ExportError, match=r"the emulated cortex-m3 made \d+ bytes, not the \d+ that were made here"
    ):
        cortexm.check(found, codec, random_latents, 64, 64, level + 1)


@pytest.fixture
def random_latents() -> np.ndarray:
    """Latents of a 64x64 picture for the golden codec."""
    return np.random.default_rng(3).integers(-60, 60, (4, 4, 24)).astype(np.int8)


def test_missing_tools_are_named(
    monkeypatch: pytest.MonkeyPatch, random_latents: np.ndarray, tmp_path: Path
) -> None:
    monkeypatch.setattr(cortexm, "find_tool", lambda name: None)
    assert cortexm.missing_tools() == ["arm-none-eabi-gcc", "qemu-system-arm", "arm-none-eabi-size"]
    with pytest.raises(
        RuntimeUnavailableError, match=r"not installed: apt-get install gcc-arm-none-eabi libnewlib"
    ):
        cortexm.measure(Codec(GOLDEN / "codec"), random_latents, 64, 64, 300)
