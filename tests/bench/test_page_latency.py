"""When bytes were to be seen, and the browser that sees them; the whole way is in tests/server."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

pytest.importorskip("serial")
pytest.importorskip("cobs")

from heliograph.bench import browser, page_latency
from heliograph.bench.page_latency import Sight, Watched
from heliograph.codec import container
from heliograph.errors import RuntimeUnavailableError

GOLDEN = Path(__file__).parents[1] / "golden"
installed = pytest.mark.skipif(
    not any(map(shutil.which, browser.BROWSERS)), reason="no Chromium here: apt-get install chromium"
)


def test_a_layer_is_seen_with_the_first_sight_that_holds_its_end() -> None:
    stream = (GOLDEN / "lanes.helio").read_bytes()
    layout = container.open(stream)
    ends = [at + length + 4 for at, length in layout.segments if length]
    assert ends[-1] == len(stream)
    sights = [
        Sight(1.0, 1, ends[0] - 1, False, 64),  # a byte short of the first layer
        Sight(2.5, 2, ends[0], False, 64),
        Sight(4.0, 3, len(stream) - 1, False, 64),
    ]
    layers = Watched(stream, sights, received=5.0, complaints=[]).layers()
    assert [end for end, _ in layers] == ends
    assert layers[0] == (ends[0], 2.5)
    assert math.isnan(layers[-1][1])  # never seen whole


def test_a_missing_browser_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("playwright")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with (
        pytest.raises(RuntimeUnavailableError, match="no Chromium is installed: apt-get install chromium"),
        browser.chromium(),
    ):
        pass


@installed
def test_the_browser_opens_a_page() -> None:
    pytest.importorskip("playwright")
    with browser.chromium() as started:
        page = started.new_context(offline=True).new_page()
        page.set_content("<title>a title</title>")
        assert page.title() == "a title"


@installed
@pytest.mark.slow
def test_what_was_seen_is_printed(
    photo: Path, codec_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("playwright")
    pytest.importorskip("uvicorn")
    command = ["--codec", str(codec_folder), "--picture", str(photo), "--baud", "115200"]
    assert page_latency.main(command) == 0
    out = capsys.readouterr().out
    assert out.startswith("97x61, ")
    assert "whole file on the disk after" in out
