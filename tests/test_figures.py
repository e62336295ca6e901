"""The tables of the documents say what was measured of the shipped codecs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    """The script that writes them."""
    spec = importlib.util.spec_from_file_location("figures", ROOT / "scripts/figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_documents_have_the_figures_that_were_measured(
    figures: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert figures.main(["--check"]) == 0, capsys.readouterr().out


def test_rows_are_made_anew_and_all_else_is_left(figures: ModuleType) -> None:
    rates = {"rates": [-0.2, 0.05, -0.03], "mean": -0.06}
    summary = {"rate_distortion": {"by_picture": {"webp": dict.fromkeys(figures.METRICS, rates)}}}
    text = (
        "a | b\n\n| against | x |\n|---|---|\n| WebP, method 4 | old | old | old |\n| mine | 3 |\n"
        "\n| WebP, method 4 |\n"
    )
    made = figures.filled(text, {"against|x": figures.by_picture(summary)})
    cell = "-6.0 % (+5.0, 2)"
    assert made == text.replace("old | old | old", f"{cell} | {cell} | {cell}")


def test_a_table_that_is_not_there_is_told(figures: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"no table with the heading 'against\|x'"):
        figures.filled("nothing\n", {"against|x": lambda cells, _: cells})
