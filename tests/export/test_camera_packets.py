"""Packets that the camera in plain C makes of its stream: those of the host for the same stream and plan."""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import random

import numpy as np
import pytest
from tests.export.camera_program import OK, Program, flat

from heliograph.codec import container
from heliograph.export.probe import synthetic_picture
from heliograph.packets.collector import Collector
from heliograph.packets.packet import WIDTHS, device_number
from heliograph.packets.packetizer import Packetizer
from heliograph.packets.plan import Layer, Plan

Tag = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint8), ctypes.c_size_t, ctypes.POINTER(ctypes.c_uint8)
)
Take = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint8), ctypes.c_size_t)
DEVICE, PICTURE = device_number("camera"), 812


class Packets(ctypes.Structure):
    """hg_packets."""

    _fields_ = (
        *[(name, ctypes.c_uint32) for name in ("bytes", "count", "arrive", "device", "picture")],
        ("tag", Tag),
        ("send", Take),
        ("context", ctypes.c_void_p),
        ("packet", ctypes.POINTER(ctypes.c_uint8)),
        ("stream", ctypes.POINTER(ctypes.c_uint8)),
        ("size", ctypes.c_size_t),
        *[(name, ctypes.c_uint32) for name in ("crc", "parts", "each", "layers")],
        ("layer", ctypes.c_uint32 * 2 * 3),
        ("weight", ctypes.c_uint8 * 255 * 3),
    )


class Sender:
    """Settings of packets, and what was sent with them."""

    def __init__(
        self, program: Program, size: int, count: int, arrive: int, *, key: bytes | None = None
    ) -> None:
        self.library, self.key = program.library, key
        self.sent: list[bytes] = []
        self._room = (ctypes.c_uint8 * max(size, 1))()
        self.packets = Packets(size, count, arrive, DEVICE, PICTURE)
        self.packets.packet = self._room

        def take(context: object, data: object, size: int) -> int:
            self.sent.append(ctypes.string_at(data, size))  # type: ignore[arg-type]
            return 0

        def tag(context: object, data: object, size: int, out: object) -> None:
            made = hmac.digest(key or b"", ctypes.string_at(data, size), "sha256")[:8]  # type: ignore[arg-type]
            ctypes.memmove(out, made, 8)  # type: ignore[arg-type]

        self.packets.send = Take(take)
        if key is not None:
            self.packets.tag = Tag(tag)

    def send(self, stream: bytes) -> bool:
        """Return whether a stream was sent."""
        held = (ctypes.c_uint8 * len(stream)).from_buffer_copy(stream)
        size = ctypes.c_size_t(len(stream))
        return int(self.library.hg_send_packets(ctypes.byref(self.packets), held, size)) == 0

    @property
    def plan(self) -> Plan:
        """The plan that was made."""
        p = self.packets
        layers = tuple(Layer(*p.layer[i]) for i in range(p.layers))
        return Plan(int(p.size), int(p.crc), layers, 0, int(p.parts))


@pytest.fixture(scope="module")
def stream(program: Program) -> bytes:
    """A layered one of several slices."""
    status, made, _, _ = program.encode(flat(synthetic_picture(224)), 224, layered=True, quality=31)
    assert status == OK
    assert 2000 < len(made) < 5000
    return made


def base_of(stream: bytes) -> int:
    """Bytes of the header and the first part of all slices."""
    opened = container.open(stream)
    return opened.size + sum(n + 4 for _, n in opened.segments[: opened.header.slice_count] if n)


@pytest.mark.parametrize(
    ("size", "count", "arrive", "key"),
    [
        (24, 1000, 700, None),
        (51, 250, 160, None),
        (222, 40, 25, b"k" * 32),
        (222, 300, 30, None),
        (1400, 9, 5, None),
    ],
)
def test_the_packets_are_those_of_the_host(
    program: Program, stream: bytes, size: int, count: int, arrive: int, key: bytes | None
) -> None:
    sender = Sender(program, size, count, arrive, key=key)
    assert sender.send(stream)
    plan, each = sender.plan, int(sender.packets.each)
    assert plan.is_legal()
    assert (plan.parts, each) == (-(-count // 255), count // -(-count // 255))
    assert sender.sent == Packetizer(stream, plan, DEVICE, PICTURE, key=key).packets(each)
    assert {len(packet) for packet in sender.sent} == {size}
    assert sender.packets.picture == PICTURE + plan.parts
    # All is in `arrive` of them, whichever these are.
    collector = Collector(key)
    drawn = random.Random(size)
    for part in range(plan.parts):
        for packet in drawn.sample(sender.sent[part :: plan.parts], arrive // plan.parts):
            collector.take(packet)
    (name,) = collector.names()
    arrived = collector.best(name)
    assert arrived is not None
    assert arrived.stream == stream


def test_the_base_is_in_as_few_packets_as_there_is_room_for(program: Program, stream: bytes) -> None:
    """No wider piece of it leaves room for the rest in `arrive` packets."""
    sender = Sender(program, 222, 40, 25)
    assert sender.send(stream)
    base, rest = sender.plan.layers
    assert base.width in WIDTHS
    assert sender.plan.spans[0][1] >= base_of(stream)
    assert (base.needed - 1) * base.width < base_of(stream) + len(sender.plan.to_bytes())
    assert base.needed < rest.needed <= 25
    wider = WIDTHS[WIDTHS.index(base.width) + 1]
    needed = -(-(base_of(stream) + len(sender.plan.to_bytes())) // wider)
    left = len(stream) + len(sender.plan.to_bytes()) - needed * wider
    assert left > 25 * (212 - wider)


def test_a_stream_without_room_for_more_is_one_layer(program: Program, stream: bytes) -> None:
    needed = -(-(len(stream) + 6 + 1) // 212)
    sender = Sender(program, 222, 60, needed)
    assert sender.send(stream)
    assert [layer.needed for layer in sender.plan.layers][-1] == needed
    assert not Sender(program, 222, 60, needed - 2).send(stream)


def test_any_bytes_can_be_sent(program: Program) -> None:
    """What is no stream has no base."""
    for size in (1, 5, 14, 300, 2000):
        data = bytes(np.random.default_rng(size).integers(0, 256, size, np.uint8))
        sender = Sender(program, 60, 80, 50)
        assert sender.send(data)
        assert sender.sent == Packetizer(data, sender.plan, DEVICE, PICTURE).packets(80)


def test_settings_out_of_range(program: Program, stream: bytes) -> None:
    assert Sender(program, 222, 40, 25).send(stream)
    for size, count, arrive in ((23, 40, 25), (1401, 40, 25), (222, 0, 0), (222, 24, 25), (222, 65026, 25)):
        assert not Sender(program, size, count, arrive).send(stream)
    sender = Sender(program, 222, 40, 25)
    sender.packets.picture = 1 << 28
    assert not sender.send(stream)
    sender.packets.picture -= 1
    assert sender.send(stream)  # the device's last
    sender.packets.device = 65536
    assert not sender.send(stream)


def test_a_plan_of_ones_own(program: Program, stream: bytes) -> None:
    """Three layers, and a packet that is asked for later."""
    sender = Sender(program, 222, 40, 25)
    assert sender.send(stream)
    p = sender.packets
    held = (ctypes.c_uint8 * len(stream)).from_buffer_copy(stream)
    p.stream, p.layers, p.picture = held, 3, PICTURE
    p.layer[0][:], p.layer[1][:], p.layer[2][:] = [9, 12], [15, 100], [-(-(len(stream) - 1600) // 100), 100]
    assert program.library.hg_check_plan(ctypes.byref(p))
    host = Packetizer(stream, sender.plan, DEVICE, PICTURE)
    assert len(sender.plan.layers) == 3
    for place in (0, 8, 9, 14, 15, 40, 254):
        program.library.hg_make_packet(ctypes.byref(p), 0, place)
        assert ctypes.string_at(p.packet, 222) == host.packet(place)
    for layers in (
        [[9, 13], [15, 100], [40, 99]],
        [[9, 12], [8, 100], [40, 100]],
        [[9, 12], [15, 100], [16, 99]],
    ):
        for i in range(3):
            p.layer[i][:] = layers[i]
        assert not program.library.hg_check_plan(ctypes.byref(p)), layers


def test_the_device_is_the_hosts_number() -> None:
    assert int.from_bytes(hashlib.sha256(b"camera").digest()[:2], "little") == DEVICE
