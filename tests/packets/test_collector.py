"""Packets in any order and company to streams, and what floods and forgeries cost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.packets.conftest import Make

from heliograph.packets import collector as collectors
from heliograph.packets.arriving import PACKET_COST
from heliograph.packets.collector import Collector
from heliograph.packets.packet import WHOLE, Packet, read, write
from heliograph.packets.packetizer import Packetizer

KEY = bytes(range(32))
LAYERS = ((4, 12), (10, 16), (20, 40))


def stream_of(made: Packetizer) -> bytes:
    return made._stream


def test_each_layer_with_its_packets_and_no_sooner(packetizer: Make) -> None:
    made, collector, draw = packetizer(*LAYERS), Collector(), random.Random(1)
    spans, stream = made.plan.spans, stream_of(made)
    places = draw.sample(range(20, 255), 20)  # parity alone: nothing is there as it is
    for count, place in enumerate(places, 1):
        assert collector.take(made.packet(place))
        layers = sum(count >= needed for needed, _ in LAYERS)
        assert collector.better() == ([(7, 0)] if count in (4, 10, 20) else [])
        lacks = [needed - count for needed, _ in LAYERS if needed > count]
        assert list(collector.lacking()) == [(7, 0, lack) for lack in lacks[:1]]
        found = collector.best((7, 0))
        if not layers:
            assert found is None
            continue
        assert found is not None
        assert found.stream == stream[: spans[layers - 1][1]]
        assert (found.layers, found.of_layers) == (layers, 3)
        assert found.missing == (LAYERS[layers][0] - count if layers < 3 else 0)


def test_the_first_places_give_their_bytes_as_they_are(packetizer: Make) -> None:
    made, collector = packetizer(*LAYERS), Collector()
    stream, sizes = stream_of(made), []
    for place in range(20):
        collector.take(made.packet(place))
        found = collector.best((7, 0))
        assert found is None or stream.startswith(found.stream)
        sizes.append(len(found.stream) if found else 0)
    # 12 bytes of a piece less 10 of the plan; from place 3 on layer 0 is there and four pieces of layer 1.
    assert sizes[:4] == [2, 14, 26, 38 + 4 * 16]
    assert sizes == sorted(sizes)
    assert sizes[-1] == len(stream)


def subsets(rounds: int, make: Make) -> None:
    """k packets of random streams always decode; with one less, what there is is the stream's beginning."""
    draw = random.Random(3)
    for number in range(rounds):
        needs = sorted(draw.choices(range(1, 40), k=draw.randint(1, 4)))
        widths = [24, *(draw.randint(1, 30) for _ in needs[1:])]
        made = make(*zip(needs, widths, strict=True), seed=number, spare=draw.randint(0, 1))
        collector, places = Collector(), draw.sample(range(255), needs[-1])
        for count, place in enumerate(places, 1):
            collector.take(made.packet(place))
            if count == needs[-1] - 1 and (found := collector.best((7, 0))) is not None:
                assert stream_of(made).startswith(found.stream)
        found = collector.best((7, 0))
        assert found is not None
        assert found.stream == stream_of(made)


def test_random_subsets_of_k_packets_give_the_stream(packetizer: Make) -> None:
    subsets(150, packetizer)


@pytest.mark.slow
def test_ten_thousand_random_subsets_of_k_packets_give_the_stream(packetizer: Make) -> None:
    subsets(10_000, packetizer)


def test_two_parts(packetizer: Make) -> None:
    made, collector, draw = packetizer(*LAYERS, parts=2, picture=40), Collector(), random.Random(2)
    stream = stream_of(made)
    packets = [
        (part, made.packet(place, part)) for part in (0, 1) for place in draw.sample(range(20, 255), 20)
    ]
    for _, packet in packets[:20]:  # all of part 0, none of part 1
        collector.take(packet)
    found = collector.best((7, 40))
    assert found is not None
    assert found.stream == stream[: made.plan.share(0)[1]]
    assert (found.layers, found.missing) == (0, 4)
    for _, packet in packets[20:]:
        collector.take(packet)
    found = collector.best((7, 40))
    assert found is not None
    assert found.stream == stream
    collector.finish((7, 40))
    assert collector.names() == []
    assert not collector.take(packets[25][1])


def test_pictures_and_devices_mixed_twice_and_in_any_order(packetizer: Make) -> None:
    made = [
        packetizer(*LAYERS, device=device, picture=picture, seed=10 * device + picture)
        for device in (1, 2)
        for picture in (5, 6, 7)
    ]
    packets = [one.packet(place) for one in made for place in range(50, 70)]
    packets += packets[::3]
    random.Random(4).shuffle(packets)
    collector = Collector()
    for packet in packets:
        collector.take(packet)
    assert collector.names() == [(1, 5), (1, 6), (1, 7), (2, 5), (2, 6), (2, 7)]
    for name, one in zip(collector.names(), made, strict=True):
        found = collector.best(name)
        assert found is not None
        assert found.stream == stream_of(one)


def test_a_device_that_lost_count(packetizer: Make) -> None:
    """Two pictures of one number: those of other layers are kept apart, of equal ones no wrong one is told."""
    first, other, alike = (
        packetizer(*LAYERS),
        packetizer((5, 12), (20, 56), seed=1),
        packetizer(*LAYERS, seed=2),
    )
    collector = Collector()
    for place in range(30, 50):
        collector.take(first.packet(place))
        collector.take(other.packet(place))
    found = collector.best((7, 0))
    assert found is not None
    assert found.stream in (stream_of(first), stream_of(other))
    collector = Collector()
    for place in range(30, 40):
        collector.take(first.packet(place))
        collector.take(alike.packet(place + 10))
    found = collector.best((7, 0))
    assert found is None or not found.is_whole


def test_what_was_finished_is_nothing_new(packetizer: Make) -> None:
    made, collector = packetizer(*LAYERS), Collector()
    for place in range(20):
        collector.take(made.packet(place))
    collector.finish((7, 0))
    assert collector.held == 0
    assert not collector.take(made.packet(30))
    assert collector.best((7, 0)) is None
    assert len(collector._arriving) == 0


def test_what_is_held_can_be_written_down(packetizer: Make) -> None:
    made, collector = packetizer(*LAYERS, key=KEY), Collector(KEY)
    sent = [made.packet(place) for place in (3, 200, 7)]
    assert all(collector.take(packet) for packet in sent)
    assert not collector.take(sent[1])
    assert list(collector.packets()) == sent
    assert collector.held == 3 * (68 + PACKET_COST)


def test_keys(packetizer: Make) -> None:
    keyed, plain = packetizer(*LAYERS, key=KEY), packetizer(*LAYERS)
    collector = Collector(KEY)
    for place in range(30, 50):
        collector.take(plain.packet(place))
    assert (collector.refused, collector.best((7, 0))) == (20, None)
    for place in range(30, 50):
        collector.take(keyed.packet(place))
    found = collector.best((7, 0))
    assert found is not None
    assert found.stream == stream_of(keyed)


def test_forged_packets_of_a_picture_give_no_wrong_stream(packetizer: Make) -> None:
    made, collector, draw = packetizer(*LAYERS), Collector(), random.Random(5)
    for place in range(19):
        collector.take(made.packet(place + 30))
    true = read(made.packet(60))
    assert true is not None
    collector.take(write(replace(true, pieces=draw.randbytes(len(true.pieces)))))
    assert collector.best((7, 0)) is None  # its CRC-32C was wrong: all went
    assert collector.refused == 1
    for place in range(100, 120):
        collector.take(made.packet(place))
    found = collector.best((7, 0))
    assert found is not None
    assert found.stream == stream_of(made)


def test_a_plan_that_is_none_costs_its_packets(packetizer: Make) -> None:
    collector, draw = Collector(), random.Random(6)
    for place in range(9):
        collector.take(write(Packet(1, 1, 9, place, 9, draw.randbytes(60))))
    assert (collector.refused, len(collector._arriving), collector.held) == (1, 0, 0)


def test_a_flood_of_pictures_that_never_come_is_bounded(
    packetizer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collectors, "MOST_HELD", 200_000)
    made, collector, draw = packetizer(*LAYERS), Collector(), random.Random(7)
    packets = [made.packet(place) for place in range(30, 50)]
    most, began = 0, time.process_time()
    for number in range(4000):
        width = draw.choice((9, WHOLE))
        flood = Packet(draw.randrange(65536), number, width, draw.randrange(255), 255, draw.randbytes(1390))
        collector.take(write(flood))
        most = max(most, collector.held)
        if number % 100 == 0:  # a second one before 121 others fill the memory
            collector.take(packets[number // 100 % 20])
    assert most <= 200_000
    assert len(collector._arriving) <= collectors.MOST_ARRIVING
    assert time.process_time() - began < 20
    found = collector.best((7, 0))
    assert found is not None
    assert found.stream == stream_of(made)


def test_many_small_pictures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collectors, "MOST_ARRIVING", 50)
    collector = Collector()
    for number in range(300):
        collector.take(write(Packet(1, number, WHOLE, 0, 1, bytes(14) + b"x")))
        collector.take(write(Packet(1, number, WHOLE, 0, 2, b"\x0e" + bytes(13))))
    assert len(collector._arriving) <= 50
    assert len(collector._parts) <= 50
    monkeypatch.setattr(collectors, "MOST_DONE", 10)
    for name in collector.names():
        collector.finish(name)
    assert len(collector._done) <= 10


@pytest.mark.parametrize("take", [lambda data: data[:-1], lambda data: b"", lambda data: data + b"\0"])
def test_what_is_no_packet(packetizer: Make, take: Callable[[bytes], bytes]) -> None:
    collector = Collector()
    assert not collector.take(take(packetizer(*LAYERS).packet(0)))
    assert collector.refused == 1
