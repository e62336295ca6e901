"""ARCHITECTURE.md's table of rooms is true: which there are, which way arrows point, who may import a framework."""

from __future__ import annotations

import ast
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "toolkit/heliograph"
FRAMEWORKS = {"tensorflow", "keras", "jax", "torch"}
MOST_LINES = 350
MODULES = sorted(PACKAGE.rglob("*.py"))
C_FILES = sorted((PACKAGE / "csrc").rglob("*.[ch]"))


def table() -> dict[str, dict[str, str]]:
    """Return the table's lines by room, each as its cells by heading."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    between = text.split("<!-- arrows: begin -->")[1].split("<!-- arrows: end -->")[0]
    heading, _, *lines = (
        [cell.strip(" `") for cell in line.strip("|").split("|")] for line in between.split("\n") if line
    )
    return {cells[0]: dict(zip(heading, cells, strict=True)) for cells in lines}


ROOMS = table()
ALLOWED = {room: set(re.findall(r"\w+", cells["may import"])) for room, cells in ROOMS.items()}
MAY_USE_FRAMEWORKS = {room for room, cells in ROOMS.items() if cells["frameworks"] == "yes"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """Return the full names a module imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "heliograph":
                found |= {f"heliograph.{alias.name}" for alias in node.names}
    return found


def test_the_table_has_the_rooms_that_exist_and_no_others() -> None:
    assert set(ROOMS) == {room_of(path) for path in MODULES}


def test_arrows_lead_to_rooms_and_make_no_circle() -> None:
    outside = {"_core", "_jpeg"}  # the C extensions, which are optional
    assert {room for allowed in ALLOWED.values() for room in allowed} <= set(ROOMS) | outside
    order = list(TopologicalSorter(ALLOWED).static_order())  # CycleError names a circle
    assert order.index("codec") < order.index("device") < order.index("server") < order.index("commands")


def test_the_device_s_rooms_may_use_no_framework() -> None:
    assert not MAY_USE_FRAMEWORKS & {
        "codec",
        "device",
        "link",
        "export",
        "commands",
        "cli",
        "pillow",
        "__init__",
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_arrows_point_one_way(path: Path) -> None:
    room = room_of(path)
    used = {name.split(".")[1] for name in imports(path) if name.startswith("heliograph.")}
    used -= {room, "__version__"}
    assert used <= ALLOWED[room], f"{room} imports {used - ALLOWED[room]}: ARCHITECTURE.md does not allow it"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_frameworks_are_imported_only_where_they_may(path: Path) -> None:
    if room_of(path) not in MAY_USE_FRAMEWORKS:
        assert not {name.split(".")[0] for name in imports(path)} & FRAMEWORKS


@pytest.mark.parametrize("path", [*MODULES, *C_FILES], ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_module_can_be_read_in_one_go(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_codec_is_numpy_only() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "crc32c", "heliograph"}
    for path in (PACKAGE / "codec").glob("*.py"):
        assert {name.split(".")[0] for name in imports(path)} <= allowed, path
