"""How deep a program's stack can get, from the call graphs that GCC writes with -fcallgraph-info=su."""

from __future__ import annotations

import re
from collections.abc import Sequence

from heliograph.errors import ExportError

_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*)"')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_BYTES = re.compile(r"\\n(\d+) bytes \((\w+)[^)]*\)")


def deepest(graphs: Sequence[str], root: str) -> int:
    """Return the most bytes of stack from a function down, over several files' graphs.

    Functions of other libraries, such as memcpy, and calls through pointers count nothing.

    Raises:
        ExportError: a function calls itself by some way, takes memory of unknown size, or the root is missing.
    """
    own: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    for graph in graphs:
        for title, label in _NODE.findall(graph):
            match = _BYTES.search(label)
            if match is None:
                continue
            if match[2] not in {"static", "dynamic,bounded"}:
                raise ExportError(f"the stack of {title} is {match[2]}, expected static")
            own[title] = int(match[1])
        for source, target in _EDGE.findall(graph):
            calls.setdefault(source, set()).add(target)
    if root not in own:
        raise ExportError(f"the compiler's call graph lacks {root}; use GCC 10 or later")

    def down(name: str, above: tuple[str, ...]) -> int:
        if name in above:
            raise ExportError(f"{name} calls itself: {' -> '.join((*above, name))}")
        return own.get(name, 0) + max((down(c, (*above, name)) for c in calls.get(name, ())), default=0)

    return down(root, ())
