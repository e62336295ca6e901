"""Bytes, numbers and JSON changed at random: what a fuzzer does before it makes checksums fit again."""

from __future__ import annotations

import random
from typing import Any

TELLING = (0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 129, 253, 254, 255)
NUMBERS = (0, 1, 2, 15, 16, 17, 63, 64, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 4097, 65535, 65536)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    0.5,
    1e308,
    1 << 64,
    "",
    "a",
    "../a.bin",
    "\ud800",
    "\x00",
    "é" * 200,
    [],
    [[]],
    {},
    {"": None},
)


def change_bytes(data: bytes, rng: random.Random, most: int = 4) -> bytes:
    """Return bytes with 1 to `most` changes: of a bit, a byte or a few, gone, come in or come again."""
    out = bytearray(data)
    for _ in range(rng.randint(1, most)):
        at = rng.randrange(len(out) + 1)
        size = min(rng.randint(1, 16), len(out) - at)
        kind = rng.randrange(6)
        if not size or kind == 0:
            out[at:at] = rng.randbytes(rng.randint(1, 8))
        elif kind == 1:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            out[at] = rng.choice(TELLING)
        elif kind == 3:
            out[at] = (out[at] + rng.randint(-4, 4)) % 256
        elif kind == 4:
            del out[at : at + size]
        else:
            to = rng.randrange(len(out) + 1)
            out[to:to] = out[at : at + size]
    return bytes(out)


def change_number(value: int, rng: random.Random, below: int) -> int:
    """Return another number from 0 to before `below`: a near one, a telling one, or any."""
    kind = rng.randrange(3)
    if kind == 0:
        return max(0, min(below - 1, value + rng.randint(-3, 3)))
    if kind == 1:
        return min(below - 1, rng.choice(NUMBERS))
    return rng.randrange(below)


def change_json(value: Any, rng: random.Random) -> Any:
    """Return JSON with one change somewhere in it."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        kind = rng.randrange(4)
        if kind == 0:
            return {k: v for k, v in value.items() if k != key}
        if kind == 1:
            return {**value, str(rng.choice(VALUES)): value[key]}
        return {**value, key: change_json(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return [*value[:at], change_json(value[at], rng), *value[at + rng.randrange(2) :]]
    if isinstance(value, int | float) and rng.random() < 0.5:
        return rng.choice((-1, 1)) * rng.choice((*NUMBERS, value + 1, value / 3, 1 << 70))
    if isinstance(value, str) and rng.random() < 0.5:
        return change_bytes(value.encode("utf-8", "replace"), rng).decode("latin-1")
    if rng.random() < 0.05:
        nested: Any = value
        for _ in range(rng.choice((50, 101, 300))):
            nested = [nested] if rng.random() < 0.5 else {"a": nested}
        return nested
    return rng.choice(VALUES)
