"""Numbers in streams and on the link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.codec.varint import LIMIT, Cut, read_varint, varint


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (LIMIT - 1, b"\xff\xff\xff\x7f")],
)
def test_the_bytes_are_these(value: int, data: bytes) -> None:
    assert varint(value) == data
    assert read_varint(b"x" + data + b"y", 1) == (value, 1 + len(data))


@given(st.integers(0, LIMIT - 1))
def test_numbers_come_back(value: int) -> None:
    assert read_varint(varint(value), 0) == (value, len(varint(value)))


@pytest.mark.parametrize("value", [-1, LIMIT])
def test_numbers_that_do_not_fit_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match=rf"{value} does not fit a varint, expected 0 to 268435455"):
        varint(value)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\xff\xff"])
def test_a_number_that_is_cut(data: bytes) -> None:
    with pytest.raises(Cut, match="the bytes end within a number"):
        read_varint(data, 0)


@pytest.mark.parametrize("data", [b"\x80\x00", b"\xff\x80\x00", b"\x80\x80\x80\x80\x01"])
def test_a_number_that_is_too_long(data: bytes) -> None:
    with pytest.raises(ValueError, match="not in its shortest form"):
        read_varint(data, 0)
