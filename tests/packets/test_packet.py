"""A packet's bytes: sizes, ranges, and what is no packet."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from heliograph.errors import PacketError
from heliograph.packets.packet import WHOLE, Packet, carried, read, write

KEY = bytes(range(32))
PACKET = Packet(65535, (1 << 28) - 1, 4, 254, 255, bytes(range(14)))


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "keyed"])
@pytest.mark.parametrize("size", [24, 51, 222, 256, 340, 1400])
def test_every_size(size: int, key: bytes | None) -> None:
    pieces = random.Random(size).randbytes(carried(size, key))
    packet = Packet(1, 812, WHOLE, 3, 9, pieces)
    data = write(packet, key)
    assert len(data) == size
    assert size - len(pieces) == (10 if key is None else 16)
    assert read(data, key) == packet


def test_the_ends_of_all_ranges() -> None:
    assert read(write(PACKET)) == PACKET
    assert read(write(Packet(0, 0, 0, 0, 1, bytes(14)))) == Packet(0, 0, 0, 0, 1, bytes(14))


@pytest.mark.parametrize(
    "packet",
    [
        replace(PACKET, place=255),
        replace(PACKET, needed=0),
        replace(PACKET, width_code=7),  # 16 of 14 bytes
        replace(PACKET, pieces=bytes(13)),
        replace(PACKET, pieces=bytes(1391)),
    ],
    ids=["place", "needed", "width", "short", "long"],
)
def test_illegal(packet: Packet) -> None:
    assert read(write(packet)) is None


@pytest.mark.parametrize("size", [23, 1401])
def test_no_such_size(size: int) -> None:
    with pytest.raises(PacketError, match=f"packets of {size} bytes, expected 24 to 1400"):
        carried(size, None)


def test_a_changed_bit_is_found() -> None:
    data = write(PACKET)
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert read(bytes(changed)) is None


def test_keys_do_not_mix() -> None:
    assert read(write(PACKET, KEY)) is None
    assert read(write(PACKET), KEY) is None
    assert read(write(replace(PACKET, pieces=bytes(20)), KEY), bytes(32)) is None


def test_noise_is_seldom_a_packet() -> None:
    draw = random.Random(0)
    assert sum(read(draw.randbytes(draw.randint(0, 60))) is not None for _ in range(20_000)) <= 2
    assert all(read(draw.randbytes(60), KEY) is None for _ in range(2_000))
