"""The plan: where layers lie in a stream, and which plans no receiver takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heliograph.packets import plan as plans
from heliograph.packets.packet import WHOLE
from heliograph.packets.plan import Layer, Plan, last_number

THREE = Plan(150, 0x12345678, (Layer(4, 8), Layer(5, 4), Layer(9, 13)))


def read(plan: Plan, *, code: int = 5, carried: int = 25) -> Plan | None:
    first = plan.layers[0]
    data = plan.to_bytes().ljust(first.needed * first.width, b"\0")
    return plans.read(data, first.needed, code, carried)


def test_bytes_by_hand() -> None:
    assert THREE.to_bytes().hex() == "96010278563412050904"
    labelled = replace(THREE, part=1, parts=2, label="ab")
    assert labelled.to_bytes().hex() == "960132785634120509040102026162"
    assert Plan(1, 0, (Layer(3, 14),)).to_bytes().hex() == "010000000000"


def test_spans_by_hand() -> None:
    # 4 x 8 less 10 bytes of the plan, 5 x 4, and of 9 x 13 what is there.
    assert THREE.spans == [(0, 22), (22, 42), (42, 150)]
    two = Plan(100, 0, (Layer(3, 12), Layer(4, 7)), 1, 2)
    # 36 less 9 bytes of the plan, twice; then 28 twice, the second of which has 18 bytes of the stream.
    assert two.spans == [(0, 54), (54, 100)]
    assert [two.share(0), two.share(1)] == [(27, 54), (82, 100)]
    assert [two.of_part(0).share(0), two.of_part(0).share(1)] == [(0, 27), (54, 82)]


@pytest.mark.parametrize(
    "plan", [THREE, replace(THREE, label="a" * 5), replace(THREE, label="b", parts=3, part=2)]
)
def test_what_is_written_is_read(plan: Plan) -> None:
    assert plan.is_legal()
    assert read(plan) == plan


def test_one_layer() -> None:
    plan = Plan(30, 1, (Layer(3, 14),))
    assert read(plan, code=WHOLE, carried=14) == plan
    assert read(plan, code=6, carried=14) is None


@pytest.mark.parametrize(
    "plan",
    [
        replace(THREE, size=0),
        replace(THREE, size=160),
        replace(THREE, size=42),
        replace(THREE, layers=(Layer(4, 8), Layer(3, 4), Layer(9, 13))),
        replace(THREE, layers=(Layer(4, 8), Layer(5, 4), Layer(0, 13))),
        replace(THREE, layers=(Layer(4, 8), Layer(5, 0), Layer(9, 17))),
        replace(THREE, layers=(Layer(4, 8), Layer(5, 17), Layer(9, 0))),
        replace(THREE, layers=(Layer(1, 8), Layer(5, 4), Layer(255, 13))),
        replace(THREE, part=2, parts=2),
        replace(THREE, label="\n"),
    ],
    ids=[
        "empty",
        "no-room",
        "empty-layer",
        "falling",
        "none",
        "narrow",
        "last",
        "plan",
        "parts",
        "label",
    ],
)
def test_illegal(plan: Plan) -> None:
    assert read(plan) is None


def test_reserved_bits_and_cut_plans() -> None:
    data = THREE.to_bytes().ljust(32, b"\0")
    for bit in (6, 7):
        assert plans.read(data[:2] + bytes([data[2] | 1 << bit]) + data[3:], 4, 5, 25) is None
    assert all(plans.read(THREE.to_bytes()[:size], 4, 5, 25) is None for size in range(10))


def test_numbers_end() -> None:
    assert last_number((1 << 28) - 2, replace(THREE, parts=2)) == (1 << 28) - 1
    with pytest.raises(ValueError, match="expected numbers below 268435456"):
        last_number((1 << 28) - 1, replace(THREE, parts=2))
