"""The entropy file: canonical bytes, and the same rules in numpy and in C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.codec.entropy_model import NOT_SENT, EntropyModel, level_offsets
from heliograph.codec.levels import from_quality, steps_at, to_quality
from heliograph.codec.native_coder import load_core

Models = Callable[[int], EntropyModel]


def test_a_file_is_read_back_to_the_same_bytes(models: Models) -> None:
    data = models(3).to_bytes()
    assert EntropyModel.from_bytes(data).to_bytes() == data


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"order": np.zeros(24, np.uint8)}, "order is no permutation"),
        ({"steps": np.full((101, 24), 15, np.uint16)}, "a step is below 16"),
        ({"rounding": np.full(101, 129, np.uint8)}, "a rounding is above 128"),
        ({"offsets": np.full((4, 24), NOT_SENT, np.int16)}, "a channel of layer 0 is not sent"),
        ({"anchors": np.array([0, 500, 200, 1023], np.uint16)}, "anchors do not rise from 0 to 1023"),
        ({"predict": np.full((4, 4, 4, 4), 9000, np.int16)}, "prediction weights are too large"),
        ({"logarithm": np.full(64, 128, np.uint8)}, "the logarithm is not 0 to 127 from 0"),
        ({"layers": (6, 6, 24)}, "its layers end at (6, 6, 24)"),
    ],
)
def test_a_value_out_of_range_is_named_and_refused_by_c_too(
    change: dict[str, object], text: str, models: Models
) -> None:
    data = replace(models(3), **change).to_bytes()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=text.replace("(", r"\(").replace(")", r"\)")):
        EntropyModel.from_bytes(data)
    core = load_core()
    assert core is not None
    with pytest.raises(ValueError, match="bad model"):
        core.open(data)


@pytest.mark.parametrize("bias", [-(2**31), -(2**26) - 1, 2**26 + 1, 2**31 - 1])
def test_a_bias_out_of_range_is_refused(bias: int, models: Models) -> None:
    model = models(3)
    first = model.networks[0]
    changed = replace(first, mix_bias=np.array([bias, *first.mix_bias[1:]], np.int32))
    data = replace(model, networks=(changed, *model.networks[1:])).to_bytes()
    core = load_core()
    assert core is not None
    with pytest.raises(ValueError, match="bad model"):
        core.open(data)
    with pytest.raises(ValueError, match="a network's bias is out of range"):
        EntropyModel.from_bytes(data)


@given(place=st.floats(0, 0.9999), value=st.integers(0, 255), cut=st.booleans())
def test_numpy_and_c_agree_on_which_files_are_good(
    place: float, value: int, cut: bool, models: Models
) -> None:
    data = bytearray(models(3).to_bytes())
    at = int(place * len(data))
    data[at] = value
    changed = bytes(data[:at] if cut else data)
    core = load_core()
    assert core is not None

    def is_good(read: Callable[[bytes], object]) -> bool:
        try:
            read(changed)
        except ValueError:
            return False
        return True

    assert is_good(EntropyModel.from_bytes) == is_good(core.open)


def test_offsets_are_interpolated_and_rounded_down(models: Models) -> None:
    model = models(3)
    offsets = model.offsets.copy()
    offsets[1:3, 0] = 10, -5
    found, sent = level_offsets(replace(model, offsets=offsets), 350)  # half way from anchor 200 to 500
    assert found[0] == 2
    assert sent[0]


def test_a_channel_is_sent_when_either_anchor_sends_it(models: Models) -> None:
    offset, sent = level_offsets(models(3), 100)  # anchors 0 and 200 leave out three channels and two
    assert sent.tolist() == [True] * 22 + [False] * 2
    assert offset[21] == models(3).offsets[1, 21]


def test_steps_between_and_below_the_qualities() -> None:
    steps = np.full((101, 1), 100, np.uint16)
    steps[51] = 60
    assert steps_at(steps, from_quality(50)) == 100
    assert steps_at(steps, from_quality(50.25)) == 90
    assert steps_at(steps, 223 - 64) == 300
    assert steps_at(steps, 0) == 100 * (4096 + 64 * 223 + 223**2) // 4096
    assert steps_at(np.full((101, 1), 65_535, np.uint16), 0) == 65_535


def test_levels_and_qualities_are_each_others_inverse() -> None:
    assert [from_quality(to_quality(level)) for level in range(1024)] == list(range(1024))
    assert (to_quality(0), to_quality(1023)) == (-27.875, 100.0)
    with pytest.raises(ValueError, match=r"quality is 100\.2, expected 0 to 100"):
        from_quality(100.2)
