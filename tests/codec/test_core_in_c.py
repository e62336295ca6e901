"""The C core by itself: no warnings, clean under sanitizers, and nothing that a microcontroller lacks."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from heliograph.codec.native_coder import load_core
from heliograph.export.c_source import core_file

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "toolkit/heliograph/csrc"
PARTS = (
    "heliograph",
    "heliograph_net",
    "heliograph_camera",
    "heliograph_scaling",
    "heliograph_packets",
    "erasure",
    "resize",
)


@pytest.fixture(scope="module")
def compiler() -> str:
    """A C compiler."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler here")
    return found


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("part", PARTS)
def test_it_compiles_as_c99_without_a_warning(compiler: str, part: str, tmp_path: Path) -> None:
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-pedantic", "-Werror"]
    done = run(compiler, "-std=c99", "-O2", *warnings, "-c", CSRC / f"{part}.c", "-o", tmp_path / "core.o")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("part", PARTS)
def test_it_needs_no_allocation_no_system_and_no_floating_point(part: str) -> None:
    source = core_file(f"{part}.c").decode()
    assert not re.search(r"\b(float|double|malloc|calloc|free|printf|assert)\b", source)
    included = re.findall(r"#include\s+(\S+)", source + (CSRC / f"{part}.h").read_text(encoding="utf-8"))
    vectors = {"<emmintrin.h>", "<arm_neon.h>", "<arm_acle.h>", "<arm_mve.h>"}  # come with the compiler
    own = {f'"{name}.h"' for name in PARTS}
    assert set(included) - vectors - own <= {"<string.h>", "<stddef.h>", "<stdint.h>"}


def test_the_extension_is_the_one_for_every_python() -> None:
    core = load_core()
    assert core is not None
    assert ".abi3." in Path(str(core.__file__)).name


def test_a_core_of_other_sources_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    core = load_core()
    monkeypatch.setattr(core, "INTERFACE", 0)
    assert load_core.__wrapped__() is None
    assert "the C core was built from other sources than these" in caplog.text
