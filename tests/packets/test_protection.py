"""What is lost, and how it is planned for: by hand, by all plans there are, and on real streams."""

from __future__ import annotations

import math
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from crc32c import crc32c

from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder
from heliograph.errors import PacketError
from heliograph.packets import loss as losses
from heliograph.packets import numbers
from heliograph.packets.fitting import fit, plan_for
from heliograph.packets.loss import Losses, arrivals
from heliograph.packets.numbers import PictureNumbers
from heliograph.packets.packet import PICTURES, WIDTHS
from heliograph.packets.packetizer import Packetizer
from heliograph.packets.plan import Layer, Plan
from heliograph.packets.protection import expected, hull, protect
from heliograph.packets.worth import guess, worth


def test_losses_one_by_one_are_binomial() -> None:
    assert np.allclose(arrivals(2, 0.5, 1), [0.25, 0.5, 0.25])
    assert np.allclose(arrivals(20, 0.1, 1), [math.comb(20, k) * 0.9**k * 0.1 ** (20 - k) for k in range(21)])
    assert np.allclose(arrivals(3, 0.0, 1), [0, 0, 0, 1])


def test_losses_in_bursts_by_hand() -> None:
    # Half are lost, four in a row: the second packet fares as the first in three of four cases.
    assert np.allclose(arrivals(2, 0.5, 4), [0.375, 0.25, 0.375])
    mean = np.dot(arrivals(100, 0.1, 5), np.arange(101))
    assert mean == pytest.approx(90)


def test_survival_is_that_of_all_guesses() -> None:
    likely = Losses(0.1).survival(2)
    each = [(weight, min(times * 0.1, 0.9)) for times, weight in losses._GUESSES]
    assert sum(weight for weight, _ in each) == pytest.approx(1)
    assert np.allclose(likely[1], sum(weight * (1 - share**2) for weight, share in each))
    assert np.allclose(likely[2], sum(weight * (1 - share) ** 2 for weight, share in each))
    assert np.allclose(Losses(0.0).survival(3), 1)
    # Of two parts both fare as the guess that holds.
    both = Losses(0.1).survival(2, 2)
    assert np.allclose(both[2], sum(weight * (1 - share) ** 4 for weight, share in each))


@pytest.mark.parametrize(
    ("share", "burst"), [(-0.1, 1), (0.95, 1), (math.nan, 1), (0.1, 0.5), (0.1, math.inf)]
)
def test_losses_out_of_range(share: float, burst: float) -> None:
    with pytest.raises(PacketError, match="expected"):
        Losses(share, burst)


def test_the_hull_by_hand() -> None:
    assert hull([(0, 0), (10, 1), (20, 8), (30, 9), (40, 9)]) == [(0, 0), (20, 8), (30, 9)]


def test_what_is_expected_by_hand() -> None:
    # 14 bytes carried: layer 0 has 2 x 8 less 7 bytes of the plan, layer 1 has 4 x 6; 5 dB for the first 9.
    plan = Plan(33, 0, (Layer(2, 8), Layer(4, 6)))
    assert plan.spans == [(0, 9), (9, 33)]
    survival = np.array([1, 1, 0.9, 0.7, 0.4])
    assert expected([(0, 20), (9, 25), (33, 30)], survival, plan) == pytest.approx(20 + 5 * 0.9 + 5 * 0.4)


def test_it_is_nearly_the_best_of_all_plans_of_two_layers() -> None:
    count, carried, size = 12, 30, 200
    survival = Losses(0.15).survival(count)
    curve = [(n, 4 * math.log2(1 + n / 10)) for n in range(0, size + 1, 10)]
    best = -math.inf
    for width, first, last in product(
        [w for w in WIDTHS if w < carried], range(1, count + 1), range(1, count + 1)
    ):
        plan = Plan(size, 0, (Layer(first, width), Layer(last, carried - width)))
        if plan.is_legal():
            best = max(best, expected(curve, survival, plan))
    found = protect(curve, survival, carried, Plan(size, 0, ()))
    assert found is not None
    assert found.plan.is_legal()
    assert found.expected == pytest.approx(expected(curve, survival, found.plan))
    assert found.expected > best - 0.15


def test_without_loss_all_packets_are_needed() -> None:
    found = protect(guess(900), Losses(0.0).survival(4), 246, Plan(900, 0, ()))
    assert found is not None
    assert sum(layer.width for layer in found.plan.layers) == 246
    assert found.expected == pytest.approx(guess(900)[-1][1])
    assert protect(guess(990), Losses(0.0).survival(4), 246, Plan(990, 0, ())) is None  # no room for the plan


def test_worse_links_get_smaller_k(shipped: Codec, photo_stream: bytes) -> None:
    curve = worth(photo_stream, shipped)
    assert curve[0][0] == 0
    assert curve[-1][0] == len(photo_stream)
    assert [gain for _, gain in curve] == sorted(gain for _, gain in curve)
    last = [plan_for(photo_stream, shipped, 246, Losses(share)) for share in (0.0, 0.1, 0.3)]
    assert [count for _, count in last] == sorted({count for _, count in last})
    for plan, count in last:
        assert plan.is_legal()
        assert plan.layers[-1].needed <= count
        assert plan.crc == crc32c(photo_stream)


def test_a_stream_of_more_than_255_packets_has_parts() -> None:
    data = bytes(20_000)
    plan, count = plan_for(data, None, 41, Losses(0.1))
    assert plan.parts == 3
    assert plan.parts * 255 >= plan.parts * count > 20_000 / 41
    made = Packetizer(data, plan, 1, 5)
    assert {len(packet) for packet in made.packets(2)} == {51}
    with pytest.raises(PacketError, match="too large for packets that carry 14"):
        plan_for(bytes(2_000_000), None, 14, Losses(0.5))


@pytest.fixture(scope="module")
def photo(shipped: Codec) -> np.ndarray:
    draw = np.random.default_rng(1)
    coarse = draw.integers(0, 256, (12, 16, 3)).astype(np.float64)
    return np.kron(coarse, np.ones((16, 16, 1))).astype(np.uint8)


@pytest.fixture(scope="module")
def photo_stream(shipped: Codec, photo: np.ndarray) -> bytes:
    return Encoder(shipped).encode(photo, Rate(max_bytes=6000))


@pytest.mark.parametrize(
    ("count", "carried"), [(1, 330), (3, 330), (40, 41), (20, 246), (300, 14), (320, 14)]
)
def test_the_stream_that_fits_packets(shipped: Codec, photo: np.ndarray, count: int, carried: int) -> None:
    packer = Encoder(shipped).packer(photo)
    began = time.process_time()
    stream, plan, each = fit(
        lambda most: packer.pack(Rate(max_bytes=most)).data, shipped, count, carried, Losses(0.1)
    )
    assert time.process_time() - began < 10
    assert plan.is_legal()
    assert plan.size == len(stream) <= count * carried
    assert plan.layers[-1].needed <= each <= 255
    assert each * plan.parts <= count
    assert plan.parts == (1 if count <= 306 else 2)
    assert sum(layer.width for layer in plan.layers) == carried


def test_numbers_rise_over_restarts_and_lost_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = numbers.EPOCH + 4000.0
    monkeypatch.setattr("time.time", lambda: clock)
    path = tmp_path / "numbers"
    first = PictureNumbers(path)
    assert [first.take(), first.take(3), first.take()] == [1000, 1001, 1004]
    assert PictureNumbers(path).take() == 1005
    path.unlink()
    clock += 400
    assert PictureNumbers(path).take() == 1100
    path.write_text(f"{PICTURES - 1}\n")
    last = PictureNumbers(path)
    with pytest.raises(PacketError, match=f"picture number {PICTURES - 1} is the device's last but 1"):
        last.take(2)
    assert last.take() == PICTURES - 1
    path.write_text("ten")
    with pytest.raises(PacketError, match="remove it if the device's clock is right"):
        PictureNumbers(path)
