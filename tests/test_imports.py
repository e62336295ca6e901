"""Arrows between the parts point one way, and the device's parts import neither TensorFlow nor Keras."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "toolkit/heliograph"

# What each part may import of the others. A part is a folder, or a module beside them.
ALLOWED = {
    "errors": set(),
    "files": {"errors"},
    "samples": {"errors"},
    "link": {"codec", "errors", "files"},
    "srgb": {"errors"},
    "pictures": {"codec", "errors", "srgb"},
    "codec": {"_core", "errors"},  # _core: the C extension, which is optional
    "device": {"codec", "errors", "files", "pictures"},
    "server": {"codec", "device", "errors", "files", "link", "pictures"},
    "pillow": {"codec", "device", "errors", "server", "srgb"},
    "measure": {"codec", "errors", "files", "pictures"},
    "train": {"codec", "device", "errors", "files", "measure", "pictures", "samples", "server"},
    "validate": {"codec", "device", "errors", "files", "link", "measure", "pictures", "samples", "server"},
    "bench": {
        "codec",
        "device",
        "errors",
        "files",
        "link",
        "measure",
        "pictures",
        "samples",
        "server",
        "train",
        "validate",
    },
    "export": {"codec", "device", "errors", "files", "pictures"},
    "commands": {
        "codec",
        "device",
        "errors",
        "export",
        "files",
        "link",
        "measure",
        "pictures",
        "samples",
        "server",
        "train",
        "validate",
    },
    "cli": {"commands", "errors"},
    "__main__": {"cli"},
}
KERAS_FREE = {
    "errors",
    "files",
    "samples",
    "pictures",
    "codec",
    "device",
    "export",
    "link",
    "measure",
    "commands",
    "cli",
    "__main__",
    "pillow",
    "srgb",
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
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


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_arrows_point_one_way(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        return
    used = {name.split(".")[1] for name in imports(path) if name.startswith("heliograph.")} - {
        part,
        "__version__",
    }
    assert used <= ALLOWED[part], f"{part} imports {used - ALLOWED[part]}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_the_device_side_imports_no_framework(path: Path) -> None:
    if part_of(path) in KERAS_FREE:
        assert not {name.split(".")[0] for name in imports(path)} & {"tensorflow", "keras", "jax", "torch"}


def test_the_codec_is_numpy_only() -> None:
    import sys

    allowed = {*sys.stdlib_module_names, "numpy", "crc32c", "heliograph"}
    for path in (PACKAGE / "codec").glob("*.py"):
        assert {name.split(".")[0] for name in imports(path)} <= allowed, path
