"""Arrays from an .npz file that anyone may have made: nothing is unpacked that was not expected."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

_END, _LARGE_END = b"PK\x05\x06", b"PK\x06\x07"
_END_BYTES, _LARGE_END_BYTES = 22, 20
_MOST_DIRECTORY_BYTES = 1 << 20  # 10,000 names; zipfile would make an object of 500 bytes for each 46 of it
_MOST_HEADER_BYTES = 1 << 14


def read_arrays(
    data: bytes, shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield the arrays of an .npz with certain names and shapes, in their order; others are not unpacked.

    Raises:
        ValueError: no .npz as numpy writes it, an array is missing, of another shape, not of finite numbers.
    """
    directory = int.from_bytes(data[-10:-6], "little")
    is_plain = data[-_END_BYTES:].startswith(_END) and directory <= _MOST_DIRECTORY_BYTES
    if not is_plain or data[:-_END_BYTES][-_LARGE_END_BYTES:].startswith(_LARGE_END):
        raise ValueError("it is no .npz file")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception as error:  # whatever broken bytes make of zipfile
        raise ValueError(f"it is no .npz file: {error}") from error
    for name, shape in shapes.items():
        try:
            array = _read(archive, name, shape)
        except Exception as error:  # likewise, and of numpy
            raise ValueError(f"{name}: {error}") from error
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: a number is not finite")
        yield name, array


def _read(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    try:
        entry = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ValueError("it is missing") from None
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("it is packed in another way than numpy's")
    with archive.open(entry) as member:
        # A header says how much is to be read, of which it may lie.
        head = io.BytesIO(member.read(_MOST_HEADER_BYTES))
        version = np.lib.format.read_magic(head)
        if version != (1, 0):
            raise ValueError(f"its version is {version}, expected (1, 0)")
        stored_shape, is_fortran, kind = np.lib.format.read_array_header_1_0(head)
        if stored_shape != shape:
            raise ValueError(f"it is {stored_shape}, expected {shape}")
        if kind.kind != "f" or kind.itemsize > 8:
            raise ValueError(f"it holds {kind}, expected floating-point numbers")
        size = math.prod(shape) * kind.itemsize
        body = head.read() + member.read(size + 1)
    if len(body) != size:
        raise ValueError(f"it has {len(body)} bytes or more, expected {size}")
    return np.frombuffer(body, kind).reshape(shape, order="F" if is_fortran else "C").astype(np.float32)
