"""The packets of one part of a picture that have come, and the bytes that they give (PACKETS.md, section 4)."""

from __future__ import annotations

from collections.abc import Iterator

from heliograph.packets import plan as plans
from heliograph.packets.erasure import rebuild
from heliograph.packets.packet import WHOLE, WIDTHS, Packet
from heliograph.packets.plan import Layer, Plan

PACKET_COST = 256  # bytes of memory that a packet takes beside its pieces


class Arriving:
    """Packets that belong together: of one number, one size, and one first layer.

    Attributes:
        plan: of the part, once its beginning is known.
        cost: bytes of memory that are held.
    """

    def __init__(self, packet: Packet) -> None:
        self._needed, self._code, self._carried = packet.needed, packet.width_code, len(packet.pieces)
        self._pieces: dict[int, bytes] = {}
        self._layers: list[bytes] = []  # that were rebuilt
        self.plan: Plan | None = None
        self.cost = 0

    def __len__(self) -> int:
        """How many packets have come."""
        return len(self._pieces)

    @property
    def _first(self) -> Layer:
        width = self._carried if self._code == WHOLE else WIDTHS[self._code]
        return Layer(self._needed, width)

    def take(self, packet: Packet) -> bool:
        """Take a packet; return whether it is new."""
        if packet.place in self._pieces:
            return False
        self._pieces[packet.place] = packet.pieces
        self.cost += len(packet.pieces) + PACKET_COST
        return True

    def rebuild(self) -> bool:
        """Rebuild the layers that the packets give by now; return whether they can be those of a picture."""
        if self.plan is None:
            if not (head := self._rebuilt(self._first, 0)):
                return True
            self.plan = plans.read(head, self._needed, self._code, self._carried)
            if self.plan is None:
                return len(self) < self._needed  # it may be that the plan is longer than what is there of it
        at = sum(layer.width for layer in self.plan.layers[: len(self._layers)])
        for layer in self.plan.layers[len(self._layers) :]:
            if len(self) < layer.needed:
                break
            data = self._rebuilt(layer, at)
            if not self._layers and plans.read(data, self._needed, self._code, self._carried) != self.plan:
                return False
            self._layers.append(data)
            at += layer.width
        return True

    def packets(self, device: int, number: int) -> Iterator[Packet]:
        """Yield the packets that have come."""
        for place, pieces in self._pieces.items():
            yield Packet(device, number, self._code, place, self._needed, pieces)

    @property
    def layers(self) -> int:
        """How many layers are there."""
        return len(self._layers)

    @property
    def missing(self) -> int:
        """How many packets more give the next layer; 0 if all are there."""
        if self.plan is None:
            return max(self._needed - len(self), 1)
        if self.layers == len(self.plan.layers):
            return 0
        return self.plan.layers[self.layers].needed - len(self)

    def share(self, number: int) -> tuple[bytes, bool]:
        """Return what is known of a layer's bytes of the stream, from their first, and whether that is all."""
        assert self.plan is not None
        start, end = self.plan.share(number)
        if number < self.layers:
            data = self._layers[number]
        else:
            at = sum(layer.width for layer in self.plan.layers[:number])
            data = self._rebuilt(self.plan.layers[number], at)
        known = data[0 if number else len(self.plan.to_bytes()) :][: end - start]
        return known, len(known) == end - start

    def _rebuilt(self, layer: Layer, at: int) -> bytes:
        """Return a layer whose pieces begin at a byte of each packet; with too few, what its first places have."""
        there = sorted(self._pieces)[: layer.needed]
        pieces = [self._pieces[place][at : at + layer.width] for place in there]
        lost = [] if len(there) < layer.needed else sorted(set(range(layer.needed)) - set(there))
        by_place = dict(zip(there, pieces, strict=True))
        if lost:
            data = rebuild(there, b"".join(pieces), layer.width, lost)
            for number, place in enumerate(lost):
                by_place[place] = data[number * layer.width : (number + 1) * layer.width]
        out = []
        for place in range(layer.needed):
            if place not in by_place:
                break
            out.append(by_place[place])
        return b"".join(out)
