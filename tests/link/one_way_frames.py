"""One-way frames of a stream, as any sender may make them."""

from __future__ import annotations

from heliograph.link.one_way.frames import PACKET, label_of
from heliograph.link.wire.frames import FrameCoder
from heliograph.packets.fitting import plan_for
from heliograph.packets.loss import Losses
from heliograph.packets.packet import carried, device_number
from heliograph.packets.packetizer import Packetizer


def frames_of(device: str, name: str, data: bytes, number: int, *, size: int = 51) -> list[bytes]:
    """Return as many frames as give all of a stream."""
    label = label_of(device, name)
    plan, count = plan_for(data, None, carried(size, None), Losses(0.0), label=label)
    made = Packetizer(data, plan, device_number(device), number)
    return [FrameCoder().encode(bytes([PACKET]) + packet) for packet in made.packets(count)]
