"""From packets of any pictures, in any order, to the best stream of each (PACKETS.md, section 4). Sans-IO."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from crc32c import crc32c

from heliograph.packets.arriving import Arriving
from heliograph.packets.packet import read, write

MOST_HELD = 32 << 20  # bytes of memory for packets
MOST_ARRIVING = 1024  # parts of pictures
MOST_DONE = 1 << 16  # pictures whose late packets are known as such

Name = tuple[int, int]  # of a picture: device and number
_Set = tuple[
    int, int, int, int, int
]  # of packets that belong together: device, number, and what all have alike


@dataclass(frozen=True)
class Arrived:
    """What is there of a picture.

    Attributes:
        stream: its first bytes, that is a stream that is cut, or all of it.
        size, crc: bytes of the whole stream, and its CRC-32C.
        label: as in `Plan`.
        layers, of_layers: how many are there in full.
        missing: packets that give the next layer, of the part that lacks the most; 0 if all is there.
    """

    device: int
    picture: int
    stream: bytes = field(repr=False)
    size: int
    crc: int
    label: str
    layers: int
    of_layers: int
    missing: int

    @property
    def is_whole(self) -> bool:
        return len(self.stream) == self.size


class Collector:
    """Takes packets and gives streams; what it holds is bounded, whatever comes.

    Of pictures that are too many those go that have the fewest packets, the oldest first.

    Args:
        key: 32 bytes; packets made with another or none are refused, and without one those that have a tag.

    Attributes:
        refused: packets that were none, or damaged, or of pictures that cannot be.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self._arriving: OrderedDict[_Set, Arriving] = OrderedDict()
        self._parts: dict[Name, set[_Set]] = {}  # of a picture
        self._done: OrderedDict[Name, None] = OrderedDict()
        self._better: dict[Name, None] = {}
        self._held = 0
        self.refused = 0

    def take(self, data: bytes) -> bool:
        """Take a packet; return whether it is a new one of a picture that may come."""
        packet = read(data, self._key)
        if packet is None:
            self.refused += 1
            return False
        if (packet.device, packet.picture) in self._done:
            return False
        together = (packet.device, packet.picture, packet.needed, packet.width_code, len(data))
        arriving = self._arriving.get(together)
        if arriving is None:
            arriving = self._arriving[together] = Arriving(packet)
        cost, layers = arriving.cost, arriving.layers
        if not arriving.take(packet):
            return False
        self._held += arriving.cost - cost
        self._make_room(together)
        if arriving.plan is not None and arriving.missing > 0:
            return True
        if not arriving.rebuild():
            self._drop(together)
            self.refused += 1
            return False
        if arriving.plan is not None:
            name = (packet.device, packet.picture - arriving.plan.part)
            self._parts.setdefault(name, set()).add(together)
            if arriving.layers > layers:
                self._better[name] = None
        return True

    def better(self) -> list[Name]:
        """Return the pictures of which a part has a layer more since the last call."""
        names = [name for name in self._better if name in self._parts]
        self._better.clear()
        return names

    def lacking(self) -> Iterator[tuple[int, int, int]]:
        """Yield device, number and missing packets of each part that is not all there, the oldest first."""
        for (device, number, *_), arriving in self._arriving.items():
            if arriving.missing > 0:
                yield device, number, arriving.missing

    def packets(self) -> Iterator[bytes]:
        """Yield all packets that are held."""
        for (device, number, *_), arriving in self._arriving.items():
            for packet in arriving.packets(device, number):
                yield write(packet, self._key)

    @property
    def held(self) -> int:
        """Bytes of memory that packets take."""
        return self._held

    def best(self, name: Name) -> Arrived | None:
        """Return what is there of a picture; None if that is not even its first byte.

        Of packets with one name that do not belong together, as after a device lost count, the fullest stream is it. A
        stream whose CRC-32C is wrong is let go with all that came of it.
        """
        found = [arrived for group in self._groups(name) if (arrived := self._join(name, group)) is not None]
        return max(found, key=lambda arrived: (arrived.is_whole, len(arrived.stream)), default=None)

    def names(self) -> list[Name]:
        """Return the pictures of which the beginning is known, in order."""
        return sorted(self._parts)

    def finish(self, name: Name) -> None:
        """Forget a picture that was kept elsewhere; packets of it that still come are nothing new."""
        for together in list(self._parts.get(name, ())):
            plan = self._arriving[together].plan
            for part in range(plan.parts if plan else 1):
                self._done[name[0], name[1] + part] = None
            self._drop(together)
        while len(self._done) > MOST_DONE:
            self._done.popitem(last=False)

    def _groups(self, name: Name) -> list[list[Arriving]]:
        """Return the parts of one stream each, by part."""
        groups: dict[tuple[object, ...], list[Arriving]] = {}
        for together in sorted(self._parts.get(name, ())):
            arriving = self._arriving[together]
            assert arriving.plan is not None
            groups.setdefault((*together[2:], arriving.plan.of_part(0)), []).append(arriving)
        return list(groups.values())

    def _join(self, name: Name, group: list[Arriving]) -> Arrived | None:
        by_part = {arriving.plan.part: arriving for arriving in group if arriving.plan is not None}
        plan = next(iter(by_part.values())).plan
        assert plan is not None
        out: list[bytes] = []
        layers = min(one.layers for one in group) if len(by_part) == plan.parts else 0
        for number in range(len(plan.layers)):
            for part in range(plan.parts):
                known, is_all = by_part[part].share(number) if part in by_part else (b"", False)
                out.append(known)
                if not is_all:
                    break
            else:
                continue
            break
        stream = b"".join(out)
        if not stream:
            return None
        if len(stream) == plan.size and crc32c(stream) != plan.crc:
            for together in list(self._parts.get(name, ())):
                if self._arriving[together] in group:
                    self._drop(together)
            self.refused += 1
            return None
        lacking = [one.missing for one in group if one.layers == layers] or [0]
        if len(by_part) < plan.parts:
            lacking.append(plan.layers[0].needed)
        return Arrived(*name, stream, plan.size, plan.crc, plan.label, layers, len(plan.layers), max(lacking))

    def _make_room(self, newest: _Set) -> None:
        while self._held > MOST_HELD or len(self._arriving) > MOST_ARRIVING:
            others = [together for together in self._arriving if together != newest]
            if not others:
                return
            self._drop(min(others, key=lambda together: len(self._arriving[together])))

    def _drop(self, together: _Set) -> None:
        arriving = self._arriving.pop(together)
        self._held -= arriving.cost
        if arriving.plan is not None:
            name = (together[0], together[1] - arriving.plan.part)
            parts = self._parts.get(name, set())
            parts.discard(together)
            if not parts:
                self._parts.pop(name, None)
