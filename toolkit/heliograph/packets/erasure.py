"""The erasure code: any k of the pieces at 255 places give all others (PACKETS.md, section 3); in C, else in numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heliograph.codec.native_coder import load_core

PLACES = 255
_ORDER = 255  # of the field's multiplicative group
OUT_OF_RANGE = "a place, count or size is out of range, or a place is there twice"  # as the C core says it

Bytes = npt.NDArray[np.uint8]


def _tables() -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Return the powers of 2, twice over so that sums of logarithms need no modulus, and the logarithms."""
    powers, logarithms, value = [], [0] * 256, 1
    for exponent in range(_ORDER):
        powers.append(value)
        logarithms[value] = exponent
        value = value << 1 ^ (0x11D if value & 0x80 else 0)
    return np.array(powers + powers, np.uint8), np.array(logarithms)


_POWERS, _LOGARITHMS = _tables()
_POINTS = np.concatenate([[0], _POWERS[: PLACES - 1]]).astype(np.uint8)


def rebuild(places: Sequence[int], data: bytes, piece: int, wanted: Sequence[int]) -> bytes:
    """Return the pieces at the places wanted, one after the other, from those at as many places as the code's k.

    Args:
        places: of the pieces that are there, 1 to 255 different ones of 0 to 254.
        data: these pieces, without gaps; where it ends early the rest counts as zeros.
        piece: bytes of each, at least 1.

    Raises:
        ValueError: a place, count or size is out of range.
    """
    if not all(0 <= place < PLACES for place in (*places, *wanted)):
        raise ValueError(OUT_OF_RANGE)
    core = load_core()
    if core is None:
        return rebuild_in_numpy(places, data, piece, wanted)
    pieces: bytes = core.rebuild(bytes(places), data, piece, bytes(wanted))
    return pieces


def rebuild_in_numpy(places: Sequence[int], data: bytes, piece: int, wanted: Sequence[int]) -> bytes:
    """Do what `rebuild` does, without the C core."""
    there, count = np.array(places, int), len(places)
    is_right = count >= 1 and len(set(places)) == count and piece >= 1 and len(data) <= count * piece
    if not is_right or not all(0 <= place < PLACES for place in (*places, *wanted)):
        raise ValueError(OUT_OF_RANGE)
    apart = _LOGARITHMS[_POINTS[there][:, None] ^ _POINTS[there]]
    weights = apart.sum(axis=1)  # the logarithm of 0, on the diagonal, counts as 0 here
    pieces = np.frombuffer(data.ljust(count * piece, b"\0"), np.uint8).reshape(count, piece)
    out = []
    for place in wanted:
        if place in places:
            out.append(pieces[places.index(place)].tobytes())
            continue
        far = _LOGARITHMS[_POINTS[place] ^ _POINTS[there]]
        factors = (far.sum() - far - weights) % _ORDER
        products = np.where(pieces > 0, _POWERS[_LOGARITHMS[pieces] + factors[:, None]], 0)
        out.append(np.bitwise_xor.reduce(products, axis=0).astype(np.uint8).tobytes())
    return b"".join(out)
