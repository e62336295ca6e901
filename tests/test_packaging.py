"""What is packaged, and where the installed package finds it."""

from __future__ import annotations

from pathlib import Path

import tomllib

import heliograph

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_is_listed() -> None:
    source = ROOT / "toolkit"
    found = {".".join(p.parent.relative_to(source).parts) for p in source.rglob("__init__.py")}
    listed = set(SETTINGS["tool"]["setuptools"]["packages"])
    assert listed == found | {"heliograph.calibration", "heliograph.firmware_models"}


def test_the_version_is_the_package_s() -> None:
    assert SETTINGS["project"]["dynamic"] == ["version"]
    assert heliograph.__version__.count(".") == 2


def test_tests_of_every_part_exist() -> None:
    parts = {p.parent.name for p in (ROOT / "toolkit/heliograph").glob("*/__init__.py")} - {"commands"}
    assert all(any((ROOT / "tests" / part).glob("test_*.py")) for part in parts), parts


def test_files_that_are_not_modules_are_packaged() -> None:
    """What lies in the package beside modules is listed, or an installed package lacks it."""
    package = ROOT / "toolkit/heliograph"
    shipped = set()
    for name, patterns in SETTINGS["tool"]["setuptools"]["package-data"].items():
        folder = package / Path(*name.split(".")[1:])
        if folder.is_dir():
            shipped |= {path for pattern in patterns for path in folder.glob(pattern)}
    built = {".so", ".pyc"}  # not of the source
    left_out = {package / "csrc/python.c", package / "csrc/jpeg.c"}  # of the extensions alone
    beside = {p for p in package.rglob("*") if p.is_file() and p.suffix not in {".py", *built}} - left_out
    carried = {p for folder in ("firmware", "runners") for p in (package / "export" / folder).glob("*.py")}
    assert (beside | carried) - shipped == set()
