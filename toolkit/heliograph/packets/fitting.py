"""How large a stream shall be for the packets it gets, and how many packets a stream shall get."""

from __future__ import annotations

import math
from collections.abc import Callable

from crc32c import crc32c

from heliograph.codec.codec import Codec
from heliograph.errors import PacketError, PictureError
from heliograph.packets.erasure import PLACES
from heliograph.packets.loss import Floats, Losses
from heliograph.packets.plan import MOST_PARTS, Plan
from heliograph.packets.protection import Worth, protect
from heliograph.packets.worth import PER_DOUBLING, guess, worth

_TRIAL = 0.65  # share of all packets' bytes that the first stream takes
_STEPS = (0.08, 0.04, 0.02)  # of the search for the best share, each around the best of the last
_SMALLER = 0.97  # the next stream that is tried where one has no room
_SPARED = 1.2  # of 255 packets: a few left out cost less than a second part, whose loss is that of both
_SURE = 0.97  # how likely all of a stream shall arrive


def fit(
    encode: Callable[[int], bytes], codec: Codec, count: int, carried: int, losses: Losses, *, label: str = ""
) -> tuple[bytes, Plan, int]:
    """Return the stream and plan from which most can be expected of so many packets, and how many each part has.

    A stream of a likely size shows what its beginnings are worth; how that grows with its size is much the same for all
    pictures. The stream of the best size is then planned for by its own worth.

    Args:
        encode: makes the finest stream of at most so many bytes.
        count: packets, at most.
        carried: bytes of pieces in each.

    Raises:
        PacketError: too many packets, or no room for any stream.
        PictureError: as of `encode`.
    """
    if not 1 <= count <= PLACES * MOST_PARTS:
        raise PacketError(f"{count} packets, expected 1 to {PLACES * MOST_PARTS}; give another number")
    parts = math.ceil(count / (PLACES * _SPARED))
    each = min(count // parts, PLACES)
    survival, room = losses.survival(each, parts), parts * each * carried
    try:
        stream = encode(max(int(_TRIAL * room), 1))
    except PictureError:  # that there are none so small is no reason yet
        stream = encode(room)
    blank = Plan(0, 0, (), 0, parts, label)
    size = _best_size(worth(stream, codec), survival, carried, room, blank)
    while size > 1:
        stream = encode(size)
        plan = Plan(len(stream), crc32c(stream), (), 0, parts, label)
        found = protect(worth(stream, codec), survival, carried, plan)
        if found is not None:
            return stream, found.plan, each
        size = int(_SMALLER * len(stream))
    raise PacketError(
        f"{count} packets that carry {carried} bytes each have no room for a picture; allow more or larger ones"
    )


def _best_size(curve: Worth, survival: Floats, carried: int, room: int, blank: Plan) -> int:
    """Return the size of a stream from which most can be expected if its beginnings are worth what the curve says."""
    size = curve[-1][0]

    def value(share: float) -> float:
        trial = max(int(share * room), 1)
        grown = PER_DOUBLING * math.log2(trial / size)
        scaled = [(at * trial // size, max(gain + grown, curve[0][1]) if at else gain) for at, gain in curve]
        found = protect(scaled, survival, carried, Plan(trial, 0, (), 0, blank.parts, blank.label))
        return -math.inf if found is None else found.expected

    first, *steps = _STEPS
    known = {number * first: value(number * first) for number in range(3, int(1 / first) + 1)}
    for step in steps:
        best = max(known, key=known.__getitem__)
        known |= {share: value(share) for share in (best - step, best + step)}
    return max(int(max(known, key=known.__getitem__) * room), 1)


def plan_for(
    stream: bytes, codec: Codec | None, carried: int, losses: Losses, *, label: str = ""
) -> tuple[Plan, int]:
    """Return the plan of a stream as it is, and how many packets of each part go first.

    So many that all of it arrives in 97 of 100 cases if the share that is lost is the one that was told.

    Args:
        codec: of the stream; None where it is not known.

    Raises:
        PacketError: the stream is too large for packets of this size.
    """
    curve = guess(len(stream)) if codec is None else worth(stream, codec)
    for parts in range(1, MOST_PARTS + 1):
        plan = Plan(len(stream), crc32c(stream), (), 0, parts, label)
        least = -(-(len(stream) + len(plan.label) + 8) // (parts * carried)) + 1
        for count in range(math.ceil(least / (1 - losses.share)), PLACES + 1):
            if losses.likely(count, least) ** parts < _SURE:
                continue
            if (found := protect(curve, losses.survival(count, parts), carried, plan)) is not None:
                return found.plan, count
    raise PacketError(
        f"a stream of {len(stream)} bytes is too large for packets that carry {carried}; make them larger"
    )
