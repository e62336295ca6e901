"""Rates: one of three, in range, or an error that says which value is wrong."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest

from heliograph.codec.rate import Rate, byte_count
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
    ("text", "count"),
    [
        ("4096", 4096),
        ("8k", 8000),
        ("8K", 8000),
        ("8kB", 8000),
        ("0.5k", 500),
        ("1.5M", 1_500_000),
        ("2G", 2 * 10**9),
        ("2.0", 2),
        ("1.1k", 1100),  # no float: 1.1 * 1000 is 1100.0000000000002
    ],
)
def test_bytes_are_taken_as_people_write_them(text: str, count: int) -> None:
    assert byte_count(text) == count
    assert Rate(max_bytes=text).max_bytes == Rate(max_bytes=text).budget(9, 9) == count


@pytest.mark.parametrize(
    "text", ["", "k", "0", "0.5", "0.0001k", "1.0005k", "-1", "8 k", "8x", "1e4", "nan", "inf", "9" * 5000]
)
def test_what_is_no_number_of_bytes_is_named(text: str) -> None:
    with pytest.raises(RateError, match="is no number of bytes, expected 1 or more; give such as 4096, 8k"):
        Rate(max_bytes=text)


def test_a_vast_budget_is_as_good_as_none() -> None:
    assert Rate(bpp=1e308).budget(1000, 1000) == 1 << 40
    assert Rate(bpp=2**70).budget(1000, 1000) == 1 << 40


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
        ({"quality": 10**400}, "quality is 10000000000000000000, expected a number"),
        ({"quality": Fraction(201, 2)}, "quality is 100.5, expected 0 to 100"),
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
