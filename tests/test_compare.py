"""The demo's comparison: a table and a sheet of codecs at equal bytes."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

Picture = npt.NDArray[np.uint8]
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("compare")


@pytest.fixture
def folder(tmp_path: Path, paint: Callable[[int, int], Picture], compare: ModuleType) -> Path:
    """What the demo leaves: a picture, two streams of it, and what they were decoded to."""
    original = paint(120, 90)
    Image.fromarray(original).save(tmp_path / "coffee.png")
    off = np.where(original < 128, original + 10, original - 10).astype(np.uint8)  # 28.13 dB
    made, decoded = [], []
    for quality, size in ((30, 2500), (60, 20)):
        stream = tmp_path / f"quality-{quality}/coffee.helio"
        stream.parent.mkdir()
        Image.fromarray(off).save(stream.with_suffix(".png"))
        made.append({"input": str(tmp_path / "coffee.png"), "output": str(stream), "stream_bytes": size})
        decoded.append({"input": str(stream), "output": str(stream.with_suffix(".png"))})
    for name, lines in (("encoded", made), ("decoded", decoded)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_the_table_and_the_sheet(
    compare: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare.main(folder, folder / "sheet.png")
    names, _, first, second, *_ = capsys.readouterr().out.splitlines()
    assert names.split() == ["stream", "bytes", "Heliograph", "AVIF", "WebP", "JPEG"]
    cells = first.split()
    assert cells[:3] == ["quality-30/coffee", "2500", "28.13"]  # 10 log10(255^2 / 10^2)
    assert len(cells) == 10  # PSNR and SSIMULACRA2 of four
    assert second.split()[4:] == ["-", "-", "-"]  # none of them can be that small
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.size == (3 * 120, 2 * (90 + compare.LABEL))
        panel = np.asarray(sheet)[compare.LABEL :][:90, :120]
    assert np.array_equal(panel, np.asarray(Image.open(folder / "coffee.png")))


def test_without_ssimulacra2_the_table_has_psnr_alone(
    compare: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ssimulacra2", None)
    compare.main(folder, folder / "sheet.png")
    assert len(capsys.readouterr().out.splitlines()[2].split()) == 6
