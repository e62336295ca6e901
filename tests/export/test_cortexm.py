"""The C core on an emulated Cortex-M: the bytes that Python makes, golden streams, and what it takes.

Slow: it cross-compiles. Without the tools (`heliograph.export.cortexm.INSTALL` names them) the tests are skipped.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from heliograph.codec import levels, registry
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.codec.stream import Decoded, decode_stream
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
        own = Packer(codec, probe.latents, probe.width, probe.height, slice_tiles=1, whole=True).at(level)
        found = cortexm.measure(
            codec, probe.units, probe.width, probe.height, level, board=board, streams={"own": own}
        )
        cortexm.check(found, codec, probe.units, probe.width, probe.height, level)
        assert found.stream == own
        assert found.failures == {}
        assert found.values["own"] == coded_values(decode_stream(own, codec))
        # The counter itself: a loop of two million instructions, and the few around it.
        assert 2_000_000 <= found.calibration < 2_000_100
        assert (
            0 < found.stack <= found.stack_bound + 600
        )  # what is counted here includes the frames around the call
        assert found.encoder_flash < 16_000
        assert found.instructions / found.pixels < 2_000


def coded_values(decoded: Decoded) -> bytes:
    """The values of a picture in coding order, as the board writes them."""
    return decoded.values[..., decoded.codec.coder.model.order].tobytes()


@pytest.mark.slow
@needs_tools
def test_golden_streams_decode_on_the_board() -> None:
    codec = Codec(GOLDEN / "codec")
    expected = json.loads((GOLDEN / "streams.json").read_text(encoding="utf-8"))
    streams = {name: (GOLDEN / f"{name}.helio").read_bytes() for name in expected}
    references = {name: e["reference"] for name, e in expected.items() if e["reference"]}
    found = cortexm.measure(codec, None, 0, 0, 0, board="cortex-m3", streams=streams, references=references)
    assert found.failures == {}
    assert references
    for name, wanted in expected.items():
        ordered = np.frombuffer(found.values[name], np.int16).reshape(-1, codec.channels)
        restored = codec.coder.model.restore_order(ordered)
        assert hashlib.sha256(restored.astype("<i2").tobytes()).hexdigest() == wanted["values"], name


@pytest.mark.slow
@needs_tools
def test_damaged_streams_fail_on_the_board() -> None:
    codec = Codec(GOLDEN / "codec")
    streams = {path.stem: path.read_bytes() for path in sorted((GOLDEN / "errors").glob("*.helio"))}
    found = cortexm.measure(codec, None, 0, 0, 0, board="cortex-m3", streams=streams)
    assert set(found.failures) == set(streams)
    assert found.values == {}


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
