"""What installs the packages of an extra here and now: their names, whether or not there is a clone or an index."""

from __future__ import annotations

import importlib.metadata
import operator
import platform
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}
_CLAUSE = re.compile(r"""(\w+)\s*([<>=!]=?)\s*["']([^"']*)["']""")


def install(*names: str) -> str:
    """Return the command that installs what extras of this package need; "" where nothing of it fits this Python."""
    needed = dict.fromkeys(requirement for name in names for requirement in requirements(name))
    return f"pip install {' '.join(map(_quoted, needed))}" if needed else ""


def requirements(name: str) -> Iterator[str]:
    """Yield what an extra needs on this machine, such as keras<4,>=3.15."""
    try:
        all_of_them = importlib.metadata.requires("heliograph") or []
    except importlib.metadata.PackageNotFoundError:  # run from its sources, and not installed
        all_of_them = []
    if not all_of_them:
        yield f".[{name}]"
    for line in all_of_them:
        requirement, _, marker = line.partition(";")
        if f'extra == "{name}"' in marker.replace("'", '"') and _holds(marker):
            yield requirement.strip()


def _holds(marker: str) -> bool:
    """Return whether a marker fits this machine; of what pyproject.toml has: clauses that are all to be true."""
    here: dict[str, object] = {
        "python_version": sys.version_info[:2],
        "platform_machine": platform.machine(),
    }
    for name, compare, text in _CLAUSE.findall(marker):
        wanted = tuple(int(n) for n in text.split(".")) if name == "python_version" else text
        if name in here and not _COMPARE[compare](here[name], wanted):
            return False
    return True


def _quoted(word: str) -> str:
    return f"'{word}'" if set(word) & set("<>[]=*") else word
