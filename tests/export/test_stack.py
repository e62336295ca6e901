"""The deepest stack of a call graph, with sums by hand."""

from __future__ import annotations

import pytest

from heliograph.errors import ExportError
from heliograph.export.stack import deepest

NODE = 'node: {{ title: "{0}" label: "{0}\\na.c:1:1\\n{1} bytes ({2})\\n0 dynamic objects" }}\n'
EDGE = 'edge: {{ sourcename: "{0}" targetname: "{1}" label: "a.c:2:2" }}\n'


def graph(sizes: dict[str, tuple[int, str]], *calls: tuple[str, str]) -> str:
    return "".join(NODE.format(n, *s) for n, s in sizes.items()) + "".join(EDGE.format(*c) for c in calls)


def test_the_deepest_way_counts() -> None:
    one = graph({"top": (16, "static"), "a.c:left": (100, "static")}, ("top", "a.c:left"), ("top", "right"))
    two = graph({"right": (40, "static"), "leaf": (64, "static")}, ("right", "leaf"), ("right", "memcpy"))
    assert deepest([one, two], "top") == 16 + 40 + 64
    assert deepest([one, two], "leaf") == 64


def test_recursion_has_no_bound() -> None:
    loop = graph({"a": (8, "static"), "b": (8, "static")}, ("a", "b"), ("b", "a"))
    with pytest.raises(ExportError, match="a calls itself: a -> b -> a"):
        deepest([loop], "a")


def test_unknown_sizes_have_no_bound() -> None:
    with pytest.raises(ExportError, match="the stack of a is dynamic, expected static"):
        deepest([graph({"a": (8, "dynamic")})], "a")


def test_a_missing_root_is_told() -> None:
    with pytest.raises(ExportError, match="lacks main"):
        deepest([""], "main")
