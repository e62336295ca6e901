"""How large a stream shall be for the packets it gets, and how many packets a stream shall get."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from crc32c import crc32c

from heliograph.codec.codec import Codec
from heliograph.errors import PacketError, PictureError
from heliograph.packets.erasure import PLACES
from heliograph.packets.loss import Losses
from heliograph.packets.plan import MOST_PARTS, Plan
from heliograph.packets.protection import Worth, protect
from heliograph.packets.worth import PER_DOUBLING, worth

_SIZES = tuple(np.linspace(0.3, 0.97, 20))  # shares of all packets' bytes that a stream is tried with
_TRIAL = 0.65
_SMALLER = 0.97  # the next stream that is tried where one has no room
_SURE = 0.97  # how likely all of a stream shall arrive


def parts_of(count: int) -> int:
    """Return how many parts a picture of so many packets has; PacketError for none, or too many."""
    if not 1 <= count <= PLACES * MOST_PARTS:
        raise PacketError(f"{count} packets, expected 1 to {PLACES * MOST_PARTS}; give another number")
    return -(-count // PLACES)


def fit(
    encode: Callable[[int], bytes], codec: Codec, count: int, carried: int, losses: Losses, *, label: str = ""
) -> tuple[bytes, Plan]:
    """Return the stream and the plan with which so many packets give the best picture, as far as can be expected.

    A stream of a likely size shows what its beginnings are worth; how that grows with its size is alike for most
    pictures. The one of the best size is then planned for by its own worth.

    Args:
        encode: makes the finest stream of at most so many bytes.
        count: packets, at most.
        carried: bytes of pieces in each.

    Raises:
        PacketError: there is no room for any stream.
        PictureError: as of `encode`.
    """
    parts = parts_of(count)
    survival = losses.survival(count // parts)
    room = parts * (count // parts) * carried
    stream = _finest(encode, room)
    curve, blank = worth(stream, codec), Plan(0, 0, (), 0, parts, label)
    size = _best_size(curve, len(stream), survival, carried, room, blank)
    for _ in range(40):
        stream = encode(size)
        plan = Plan(len(stream), crc32c(stream), (), 0, parts, label)
        found = protect(worth(stream, codec), survival, carried, plan)
        if found is not None:
            return stream, found.plan
        size = int(_SMALLER * min(size, len(stream)))
    raise PacketError(
        f"{count} packets that carry {carried} bytes each have no room for a picture; allow more or larger ones"
    )


def _finest(encode: Callable[[int], bytes], room: int) -> bytes:
    """Return a stream of a likely size; a larger one where pictures cannot be so small."""
    try:
        return encode(max(int(_TRIAL * room), 1))
    except PictureError:
        return encode(room)


def _best_size(
    curve: Worth, size: int, survival: np.ndarray, carried: int, room: int, plan: Plan
) -> int:
    """Return the size of a stream from which the most can be expected, if its beginnings are worth what this one's are."""
    best = 0, -math.inf
    for share in _SIZES:
        trial = max(int(share * room), 1)
        scale = trial / size
        scaled = [(int(at * scale), gain + PER_DOUBLING * math.log2(scale) * (at > 0)) for at, gain in curve]
        if scaled[1][1] <= scaled[0][1] and scale < 1:
            scaled = [(at, max(gain, scaled[0][1])) for at, gain in scaled]
        found = protect(scaled, survival, carried, Plan(trial, 0, (), 0, plan.parts, plan.label))
        if found is not None and found.expected > best[1]:
            best = trial, found.expected
    return best[0] or size


def plan_for(
    stream: bytes, codec: Codec | None, carried: int, losses: Losses, *, label: str = ""
) -> tuple[Plan, int]:
    """Return the plan of a stream as it is, and how many packets of each part go first.

    That many give all of it in 97 of 100 cases; what its beginnings are worth decides how they are protected beyond that.

    Args:
        codec: of the stream; None where it is not known.
    """
    from heliograph.packets.worth import guess

    curve = worth(stream, codec) if codec is not None else guess(len(stream))
    parts = 1
    while True:
        least = -(-len(stream) // (parts * carried)) + 1
        for count in range(least, PLACES + 1):
            survival = losses.survival(count)
            if survival[least] < _SURE * losses.survival(PLACES)[min(least, PLACES)] and losses.share:
                continue
            plan = Plan(len(stream), crc32c(stream), (), 0, parts, label)
            if (found := protect(curve, survival, carried, plan)) is not None:
                return found.plan, count
        parts += 1
        if parts > MOST_PARTS:
            raise PacketError(f"a stream of {len(stream)} bytes is too large for packets that carry {carried}")
