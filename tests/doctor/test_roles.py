"""Roles and what they need; the table against pyproject.toml."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from heliograph.doctor.roles import ROLES, fitness, is_older

if sys.version_info < (3, 11):
    pytest.skip("tomllib came with Python 3.11", allow_module_level=True)

import tomllib

SETTINGS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = SETTINGS["project"]["optional-dependencies"]
FIT = {"pyserial": "3.5", "cobs": "1.2.2", "cryptography": "50.0.2"}


@pytest.mark.parametrize("name", [name for name in ROLES if name != "device"])
def test_a_role_needs_what_its_extra_installs(name: str) -> None:
    wanted = {}
    for line in EXTRAS[name]:
        found = re.match(r"([\w-]+)(?:\[\w+\])?(?:>=([\d.]+))?", line)
        assert found
        wanted[found[1]] = found[2] or ""
    assert {package.name: package.oldest for package in ROLES[name].needs} == wanted


def test_every_extra_is_a_role() -> None:
    assert set(EXTRAS) - {"device-tflite-runtime", "test", "dev"} == set(ROLES)


@pytest.mark.parametrize(
    ("version", "oldest", "expected"),
    [
        ("3.14.9", "3.15", True),
        ("3.15", "3.15", False),
        ("10.0", "9.9", False),
        ("2024.1", "2024.2", True),
        ("", "1.0", False),  # none is told
        ("0.dev20261023182759", "", False),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, oldest: str, expected: bool) -> None:
    assert is_older(version, oldest) == expected


def test_a_role_that_has_everything_works() -> None:
    found = fitness("link", FIT, {}, has_runtime=False)
    assert (found.works, found.missing, found.install) == (True, [], "")


def test_what_is_missing_old_or_broken_is_named() -> None:
    versions = FIT | {"pyserial": None, "cobs": "1.2.0"}
    found = fitness("link", versions, {"cryptography": "no libssl"}, has_runtime=True)
    assert found.missing == [
        "pyserial",
        "cobs 1.2.1 or later, not 1.2.0",
        "cryptography that works: no libssl",
    ]
    assert found.install == "pip install 'pyserial>=3.5' 'cobs>=1.2.1' 'cryptography>=42'"


def test_a_device_needs_a_runtime_that_runs() -> None:
    assert fitness("device", {}, {}, has_runtime=True).works
    assert fitness("device", {}, {}, has_runtime=False).missing == ["a TFLite runtime that works"]
