"""Rates: one of three, in range, or an error that says which value is wrong."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from heliograph.codec.rate import Rate
from heliograph.errors import HeliographError, RateError


def test_without_anything_it_is_quality_50() -> None:
    assert Rate() == Rate(quality=50)
    assert Rate().budget(640, 480) is None


def test_a_budget_is_bytes_of_the_whole_stream() -> None:
    assert Rate(max_bytes=4096).budget(640, 480) == 4096
    assert Rate(bpp=0.2).budget(640, 480) == 7680  # 0.2 * 307200 / 8
    assert Rate(bpp=1e-9).budget(16, 16) == 1


def test_numbers_of_numpy_are_numbers() -> None:
    assert Rate(max_bytes=np.int64(300)).max_bytes == 300  # type: ignore[arg-type]
    assert Rate(quality=np.float32(12.5)).quality == 12.5  # type: ignore[arg-type]
    assert isinstance(Rate(max_bytes=4096.0).max_bytes, int)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"quality": 101}, "quality is 101, expected 0 to 100"),
        ({"quality": -0.5}, "quality is -0.5, expected 0 to 100"),
        ({"quality": math.nan}, "quality is nan, expected a number"),
        ({"quality": True}, "quality is True, expected a number"),
        ({"quality": "30"}, "quality is '30', expected a number"),
        ({"max_bytes": 0}, "max_bytes is 0, expected a whole number of at least 1"),
        ({"max_bytes": 100.5}, "max_bytes is 100.5, expected a whole number of at least 1"),
        ({"max_bytes": math.inf}, "max_bytes is inf, expected a number"),
        ({"bpp": 0}, "bpp is 0, expected bits per pixel above 0"),
        ({"bpp": -1.0}, "bpp is -1, expected bits per pixel above 0"),
        ({"quality": 30, "bpp": 0.2}, "quality and bpp exclude each other; give one"),
    ],
)
def test_what_is_no_rate_is_named(fields: dict[str, float], text: str) -> None:
    with pytest.raises(RateError) as raised:
        Rate(**fields)  # type: ignore[arg-type]
    assert str(raised.value).startswith(text)
    assert isinstance(raised.value, HeliographError)
    assert isinstance(raised.value, ValueError)


def test_it_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Rate().quality = 3.0  # type: ignore[misc]
