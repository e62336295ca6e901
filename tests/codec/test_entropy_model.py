"""The entropy file: canonical bytes, and the same rules in numpy and in C."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.codec.entropy_model import (
    ContextSet,
    EntropyModel,
    PassNetwork,
    ReferenceTerms,
    at_level,
)
from heliograph.codec.levels import from_quality, row_of, steps_at, to_quality
from heliograph.codec.masking import Masking
from heliograph.codec.native_coder import load_core

Models = Callable[..., EntropyModel]


def core() -> Any:
    """The C core."""
    found = load_core()
    assert found is not None, "the C core is not built: pip install -e . with a C compiler, or scripts/setup"
    return found


def refuse(data: bytes, text: str) -> None:
    """Both readers refuse a file, numpy's with a text that says why."""
    with pytest.raises(ValueError, match=re.escape(text)):
        EntropyModel.from_bytes(data)
    with pytest.raises(ValueError, match="bad model"):
        core().open(data)


def change_set(model: EntropyModel, number: int, **values: object) -> EntropyModel:
    """Return a model with one of its sets changed."""
    sets = list(model.sets)
    sets[number] = replace(sets[number], **values)  # type: ignore[arg-type]
    return replace(model, sets=tuple(sets))


def change_network(model: EntropyModel, number: int, index: int, **values: object) -> EntropyModel:
    """Return a model with one network of a set changed."""
    networks = list(model.sets[number].networks)
    networks[index] = replace(networks[index], **values)  # type: ignore[arg-type]
    return change_set(model, number, networks=tuple(networks))


@pytest.mark.parametrize("sets", [1, 2])
def test_a_file_is_read_back_to_the_same_bytes(sets: int, models: Models) -> None:
    data = models(3, sets).to_bytes()
    model = EntropyModel.from_bytes(data)
    assert model.to_bytes() == data
    core().open(data)


def test_the_layout_of_a_small_file_is_as_specified() -> None:
    """One channel, one layer, one group, two sets with one feature each: every number is at a place known by hand."""

    def network(known: int, own: bool, referring: bool) -> PassNetwork:
        inputs = 2 * known + 1 if referring else known
        near = np.full(2, 5, np.int16) if own else None
        terms = ReferenceTerms(
            np.array([7], np.int16),
            near,
            np.full(2, 8, np.int16),
            np.full((1, 1), 9, np.int8),
            np.array([10], np.int32),
        )
        return PassNetwork(
            (1, 2, 3, 4 if referring else 0),
            np.full((inputs, 1), 11, np.int8),
            np.array([12], np.int32),
            np.full((3, 3, 1, 1), 13, np.int8),
            np.array([14], np.int32),
            np.array([15], np.int16),
            np.full((1, 2), 16, np.int8),
            np.array([17, 17], np.int16) if own else None,
            terms if referring else None,
        )

    alone = tuple(network(1, True, False) for _ in range(2))
    referring = tuple(network(known, True, True) for known in (0, 1, 1))
    offsets = np.full((2, 2), 18, np.int16)
    model = EntropyModel(
        tile=2,
        layers=(1,),
        group=3,
        order=np.zeros(1, np.uint16),
        logarithm=np.zeros(64, np.uint8),
        anchors=np.array([0, 1023], np.uint16),
        steps=np.full((26, 1), 16, np.uint16),
        rounding=np.full(26, 128, np.uint8),
        masking=Masking(1, np.array([300, 400], np.uint16), np.array([50, 60], np.uint8)),
        predict=np.zeros((4, 4, 0, 0), np.int16),
        sets=(
            ContextSet((1, 1), offsets, np.full((2, 2), 19, np.int16), alone),
            ContextSet((1, 1), offsets, None, referring),
        ),
        starts=np.array([0, 100, 0, 200], np.uint16),
        counts=np.array([2, 2]),
        zeros=np.array([1, 16383], np.uint16),
    )
    data = model.to_bytes()
    assert data[:18] == b"HGE3" + bytes((1, 0, 2, 1, 0, 3, 2, 2, 2, 2, 1, 1, 1, 1))
    at = 18 + 2 + 2 + 64 + 4 + 52 + 26
    assert data[at : at + 7] == struct.pack("<B2H2B", 1, 300, 400, 50, 60)
    at += 7
    assert data[at : at + 8] == struct.pack("<4h", 18, 18, 18, 18)
    assert data[at + 8 : at + 16] == struct.pack("<4h", 19, 19, 19, 19)
    plain = bytes((1, 2, 3, 0)) + struct.pack("<2i3h", 12, 14, 15, 17, 17) + bytes((11, *[13] * 9, 16, 16))
    assert data[at + 16 : at + 16 + 2 * len(plain)] == 2 * plain
    at += 16 + 2 * len(plain) + 8
    head = bytes((1, 2, 3, 4)) + struct.pack("<2i8hi", 12, 14, 15, 7, 17, 17, 5, 5, 8, 8, 10)
    for inputs in (1, 3, 3):
        whole = head + bytes((*[11] * inputs, *[13] * 9, 16, 16, 9))
        assert data[at : at + len(whole)] == whole
        at += len(whole)
    assert data[at:] == bytes((1, 1)) + struct.pack("<6H", 0, 100, 0, 200, 1, 16383)
    assert EntropyModel.from_bytes(data).to_bytes() == data


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"order": np.zeros(24, np.uint16)}, "order is no permutation"),
        ({"order": np.arange(1, 25, dtype=np.uint16)}, "order is no permutation"),
        ({"steps": np.full((26, 24), 3, np.uint16)}, "a step is below 4"),
        ({"rounding": np.full(26, 129, np.uint8)}, "a rounding is above 128"),
        ({"anchors": np.array([0, 500, 200, 1023], np.uint16)}, "anchors do not rise from 0 to 1023"),
        ({"anchors": np.array([0, 200, 500, 1022], np.uint16)}, "anchors do not rise from 0 to 1023"),
        ({"predict": np.full((4, 4, 4, 4), 9000, np.int16)}, "prediction weights are too large"),
        ({"logarithm": np.full(64, 128, np.uint8)}, "the logarithm is not 0 to 127 from 0"),
        ({"logarithm": np.ones(64, np.uint8)}, "the logarithm is not 0 to 127 from 0"),
        ({"layers": (6, 6, 24)}, "its layers end at (6, 6, 24)"),
        ({"layers": (3, 12, 24)}, "its layers end at (3, 12, 24)"),
        ({"zeros": np.array([1, 0], np.uint16)}, "a flag's table is not 1 to 16383"),
        ({"zeros": np.array([1, 16384], np.uint16)}, "a flag's table is not 1 to 16383"),
        ({"zeros": np.array([1], np.uint16)}, "a size in its head is out of range"),
        ({"group": 0}, "a size in its head is out of range"),
        ({"group": 33}, "a size in its head is out of range"),
        ({"tile": 3}, "a size in its head is out of range"),
        ({"tile": 66}, "a size in its head is out of range"),
    ],
)
def test_a_value_out_of_range_is_named_and_refused_by_c_too(
    change: dict[str, object], text: str, models: Models
) -> None:
    refuse(replace(models(3), **change).to_bytes(), text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("counts", "starts", "text"),
    [
        ([1, 2], [0, 0, 100], "a table has one token"),
        ([2, 2], [0, 100, 5, 100], "a table does not start at 0"),
        ([2, 2], [0, 100, 0, 0], "a table does not rise to below 16384"),
        ([2, 2], [0, 16384, 0, 100], "a table does not rise to below 16384"),
        ([2], [0, 100], "a size in its head is out of range"),
    ],
)
def test_tables_out_of_range_are_refused(
    counts: list[int], starts: list[int], text: str, models: Models
) -> None:
    refuse(replace(models(3), counts=np.array(counts), starts=np.array(starts, np.uint16)).to_bytes(), text)


@pytest.mark.parametrize("place", [14, 15, 16, 17])
@pytest.mark.parametrize(("sets", "value"), [(1, 33), (2, 33), (1, 0), (2, 0)])
def test_features_are_one_to_16_and_32_and_0_without_a_second_set(
    place: int, sets: int, value: int, models: Models
) -> None:
    data = bytearray(models(3, sets).to_bytes())
    if sets == 1 and place > 15 and value == 0:
        assert data[place] == 0
        return
    data[place] = value
    refuse(bytes(data), "a size in its head is out of range")


@pytest.mark.parametrize("count", [0, 3])
def test_sets_are_one_or_two(count: int, models: Models) -> None:
    data = bytearray(models(3).to_bytes())
    data[13] = count
    refuse(bytes(data), "a size in its head is out of range")


@pytest.mark.parametrize("name", ["mix_bias", "look_bias", "gate_bias"])
@pytest.mark.parametrize("bias", [-(2**31), -(2**26) - 1, 2**26 + 1, 2**31 - 1])
def test_a_bias_out_of_range_is_refused(name: str, bias: int, models: Models) -> None:
    model = models(3)
    network = model.sets[1].networks[2]
    terms = network.reference
    assert terms is not None
    old = terms.gate_bias if name == "gate_bias" else getattr(network, name)
    new = np.array([*old[:-1], bias], np.int32)
    value = {"reference": replace(terms, gate_bias=new)} if name == "gate_bias" else {name: new}
    refuse(change_network(model, 1, 2, **value).to_bytes(), "a network's bias is out of range")


def test_the_largest_bias_is_legal(models: Models) -> None:
    data = change_network(models(3), 0, 0, mix_bias=np.array([-(2**26), 2**26, 0], np.int32)).to_bytes()
    assert EntropyModel.from_bytes(data).to_bytes() == data
    core().open(data)


@pytest.mark.parametrize(
    ("number", "shifts"),
    [
        (0, (0, 8, 8, 0)),
        (0, (7, 25, 8, 0)),
        (0, (7, 8, 0, 0)),
        (0, (7, 8, 8, 1)),
        (1, (7, 8, 8, 0)),
        (1, (7, 8, 8, 25)),
    ],
)
def test_shifts_are_1_to_24_and_only_set_1_has_a_gate(
    number: int, shifts: tuple[int, int, int, int], models: Models
) -> None:
    refuse(
        change_network(models(3), number, 1, shifts=shifts).to_bytes(),
        "a network's shifts are outside 1 to 24",
    )


def test_a_file_with_an_end_missing_or_added_is_refused(models: Models) -> None:
    data = models(3).to_bytes()
    refuse(data[:-1], "more is needed")
    refuse(data + b"x", "1 bytes are left at its end")
    refuse(b"HGE1" + data[4:], "it starts with b'HGE1', expected b'HGE3'")


@settings(deadline=None)
@given(place=st.floats(0, 0.9999), value=st.integers(0, 255), cut=st.booleans())
def test_numpy_and_c_agree_on_which_files_are_good(
    place: float, value: int, cut: bool, models: Models
) -> None:
    data = bytearray(models(3).to_bytes())
    at = int(place * len(data))
    data[at] = value
    changed = bytes(data[:at] if cut else data)

    def is_good(read: Callable[[bytes], object]) -> bool:
        try:
            read(changed)
        except ValueError:
            return False
        return True

    assert is_good(EntropyModel.from_bytes) == is_good(core().open)


def test_offsets_are_interpolated_and_rounded_down(models: Models) -> None:
    model = models(3)
    offsets = model.sets[1].offsets.copy()
    offsets[1:3, 0] = 10, -5  # of a channel
    offsets[1:3, 25] = -4, -5  # of the second group
    found = at_level(model, offsets, 350)  # half way from anchor 200 to 500
    assert found.shape == (24 + 7,)
    assert found[0] == 2
    assert found[25] == -5


def test_groups_divide_each_layer_from_its_first_channel_on(models: Models) -> None:
    model = models(3)
    assert model.groups(1) == [slice(6, 10), slice(10, 12)]
    assert model.groups(2) == [slice(12, 16), slice(16, 20), slice(20, 24)]


def test_each_pass_has_its_network(models: Models) -> None:
    alone, referring = models(3).sets

    def indices(contexts: ContextSet, layer: int, count: int) -> list[int | None]:
        found = [contexts.network(layer, number) for number in range(count)]
        return [None if n is None else contexts.networks.index(n) for n in found]

    assert indices(alone, 0, 5) == [None, None, None, 0, 1]
    assert [indices(alone, layer, 2) for layer in (1, 2)] == [[2, 3], [4, 5]]
    assert indices(referring, 0, 5) == [0, 0, 0, 1, 2]
    assert [indices(referring, layer, 2) for layer in (1, 2)] == [[3, 4], [5, 6]]


def test_steps_between_and_below_the_rows() -> None:
    steps = np.full((26, 1), 100, np.uint16)
    steps[13] = 60  # quality 52
    assert steps_at(steps, from_quality(48)) == 100
    assert steps_at(steps, from_quality(49)) == 90
    assert steps_at(steps, from_quality(49) + 1) == 89  # 88.75
    assert steps_at(steps, from_quality(52)) == 60
    assert steps_at(steps, 1023) == 100
    assert steps_at(steps, 223 - 64) == 300
    assert steps_at(steps, 0) == 100 * (4096 + 64 * 223 + 223**2) // 4096
    assert steps_at(np.full((26, 1), 65_535, np.uint16), 0) == 65_535
    assert [row_of(level) for level in (0, 222, 223, 254, 255, 1022, 1023)] == [0, 0, 0, 0, 1, 24, 25]


def test_levels_and_qualities_are_each_others_inverse() -> None:
    assert [from_quality(to_quality(level)) for level in range(1024)] == list(range(1024))
    assert (to_quality(0), to_quality(1023)) == (-27.875, 100.0)
    with pytest.raises(ValueError, match=r"quality is 100\.2, expected 0 to 100"):
        from_quality(100.2)
