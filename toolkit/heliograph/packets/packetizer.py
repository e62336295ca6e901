"""From a stream to packets: any of the 255 of each part, made when it is asked for (PACKETS.md, section 3). Sans-IO."""

from __future__ import annotations

import hashlib

from heliograph.packets.erasure import rebuild
from heliograph.packets.packet import WHOLE, WIDTHS, Packet, write
from heliograph.packets.plan import Plan, last_number


class Packetizer:
    """The packets of one stream.

    Args:
        plan: see `protection`; of part 0.
        device, picture: numbers, see `Packet`; with several parts the numbers that follow are used too.
        key: 32 bytes, or None.

    Attributes:
        digest: SHA-256 of the stream.
    """

    def __init__(
        self, stream: bytes, plan: Plan, device: int, picture: int, *, key: bytes | None = None
    ) -> None:
        if len(stream) != plan.size or not plan.is_legal():
            raise ValueError(f"{plan} is no plan for a stream of {len(stream)} bytes")
        last_number(picture, plan)
        self.plan, self.device, self.picture = plan, device, picture
        self._stream, self._key = stream, key
        self.digest = hashlib.sha256(stream).digest()
        first = plan.layers[0].width
        self._width_code = WHOLE if len(plan.layers) == 1 else WIDTHS.index(first)

    def packet(self, place: int, part: int = 0) -> bytes:
        """Return the packet of a place, 0 to 254, and of a part."""
        plan = self.plan.of_part(part)
        pieces = b""
        for number, layer in enumerate(plan.layers):
            start, end = plan.share(number)
            data = (b"" if number else plan.to_bytes()) + self._stream[start:end]
            if place < layer.needed:
                piece = data[place * layer.width : (place + 1) * layer.width]
                pieces += piece.ljust(layer.width, b"\0")
            else:
                pieces += rebuild(range(layer.needed), data, layer.width, [place])
        packet = Packet(
            self.device,
            self.picture + part,
            self._width_code,
            place,
            plan.layers[0].needed,
            pieces,
        )
        return write(packet, self._key)

    def packets(self, count: int) -> list[bytes]:
        """Return the first packets of every part, `count` of each, place by place."""
        return [self.packet(place, part) for place in range(count) for part in range(self.plan.parts)]
