"""An .npz from anyone: the arrays that were expected or a ValueError, in bounded memory."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.server.arrays import read_arrays

Array = npt.NDArray[Any]
SHAPES: dict[str, tuple[int, ...]] = {"a/kernel": (3, 5), "a/bias": (5,), "one": ()}
ARRAYS: dict[str, Array] = {
    name: np.arange(np.prod(shape), dtype=np.float16).reshape(shape) for name, shape in SHAPES.items()
}


def npz(arrays: Mapping[str, Array] | None = None, save: Callable[..., None] = np.savez_compressed) -> bytes:
    """Return the bytes of a file with ARRAYS, some replaced."""
    buffer = io.BytesIO()
    save(buffer, **(ARRAYS | dict(arrays or {})))
    return buffer.getvalue()


def zipped(name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return ARRAYS with one as other bytes."""
    buffer = io.BytesIO(npz())
    with zipfile.ZipFile(buffer) as archive:
        members = {entry: archive.read(entry) for entry in archive.namelist()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for entry, data in (members | {f"{name}.npy": content}).items():
            archive.writestr(entry, data)
    return buffer.getvalue()


def header(shape: str, kind: str = "<f2") -> bytes:
    """Return the header of an .npy."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def peak_of(work: Callable[[], object]) -> int:
    """Return the bytes that were in use at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_what_numpy_wrote_is_read(save: Callable[..., None], kind: type) -> None:
    stored: dict[str, Array] = {name: array.astype(kind) for name, array in ARRAYS.items()}
    stored["a/kernel"] = np.asfortranarray(stored["a/kernel"])
    found = dict(read_arrays(npz(stored | {"more": np.zeros(9)}, save), SHAPES))
    assert list(found) == list(SHAPES)
    for name, array in found.items():
        assert array.dtype == np.float32
        assert np.array_equal(array, ARRAYS[name])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "it is no .npz file"),
        (b"no archive", "it is no .npz file"),
        (npz()[:-1], "it is no .npz file"),
        (npz() + bytes(22), "it is no .npz file"),
        (header("(3, 5)") + bytes(30), "it is no .npz file"),
        (npz({"a/bias": np.zeros(4, np.float16)}), r"a/bias: it is \(4,\), expected \(5,\)"),
        (npz({"a/bias": np.zeros(5, np.int8)}), "a/bias: it holds int8, expected floating-point numbers"),
        (npz({"a/bias": np.full(5, np.nan, np.float16)}), "a/bias: a number is not finite"),
        (zipped("one", header("()", "|O") + b"cos\nsystem\n(S'true'\ntR."), "one: it holds object"),
        (zipped("one", header("()")), "one: it has 0 bytes or more, expected 2"),
        (zipped("one", header("()") + bytes(3)), "one: it has 3 bytes or more, expected 2"),
        (zipped("one", header("(" * 5000)), "one: "),
        (
            zipped("one", b"\x93NUMPY\x02\x00" + b"\xff" * 4),
            r"one: its version is \(2, 0\), expected \(1, 0\)",
        ),
        (zipped("one", b"nothing"), "one: "),
        (zipped("one", b"", zipfile.ZIP_LZMA), "a/kernel: it is packed in another way"),
    ],
)
def test_what_is_not_as_expected_is_named(data: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        list(read_arrays(data, SHAPES))


def test_a_missing_array_is_named() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, other=np.zeros(3))
    with pytest.raises(ValueError, match="a/kernel: it is missing"):
        list(read_arrays(buffer.getvalue(), SHAPES))


def test_a_bomb_is_not_unpacked() -> None:
    for name in ("one", "bomb"):
        bomb = zipped(name, header("()") + bytes(200 << 20))
        assert len(bomb) < 1 << 20

        def read(bomb: bytes = bomb) -> None:
            with contextlib.suppress(ValueError):
                list(read_arrays(bomb, SHAPES))

        assert peak_of(read) < 4 << 20


def test_a_directory_of_a_million_names_is_not_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(30_000):
            archive.writestr(f"{number}", b"")
    many = buffer.getvalue()

    def read() -> None:
        with pytest.raises(ValueError, match=r"it is no \.npz file"):
            list(read_arrays(many, SHAPES))

    assert peak_of(read) < 4 << 20


@settings(deadline=None)
@given(
    place=st.floats(0, 1),
    size=st.integers(0, 9),
    put=st.binary(max_size=9),
    packed=st.booleans(),
    end=st.booleans(),
)
def test_any_bytes_in_any_place(place: float, size: int, put: bytes, packed: bool, end: bool) -> None:
    whole = npz(save=np.savez_compressed if packed else np.savez)
    # Half of all places are in the directory at the end.
    at = len(whole) - int(220 * place) if end else int(place * len(whole))
    changed = whole[:at] + put + whole[at + size :]
    found: dict[str, Array] = {}

    def read() -> None:
        try:
            found.update(read_arrays(changed, SHAPES))
        except ValueError as error:
            found.clear()
            assert str(error)  # noqa: PT017 - whether there is one is not asked

    assert peak_of(read) < 4 << 20
    assert {name: array.shape for name, array in found.items()} in ({}, SHAPES)
