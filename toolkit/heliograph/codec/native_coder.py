"""The coder in C: the extension `heliograph._core`, where it was built."""

from __future__ import annotations

import logging
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec.coder import DecodedSlice, Symbols, corrupt
from heliograph.codec.entropy_model import EntropyModel

CORE_INTERFACE = 3  # of the extension, see csrc/python.c: an editable install may lag behind its sources
_log = logging.getLogger(__name__)


@cache
def load_core() -> ModuleType | None:
    """Return the C core, or None with a logged hint where it was not built."""
    try:
        from heliograph import _core  # type: ignore[attr-defined, unused-ignore]
    except ImportError as error:
        _log.warning(
            "the C core is not built (%s): entropy coding runs in Python, about 20 times slower; "
            "install a C compiler and reinstall heliograph",
            error,
        )
        return None
    if getattr(_core, "INTERFACE", 0) != CORE_INTERFACE:
        _log.warning(
            "the C core was built from other sources than these: entropy coding runs in Python, about 20 times "
            "slower; reinstall heliograph"
        )
        return None
    return _core  # type: ignore[no-any-return, unused-ignore]


class NativeCoder:
    """Codes slices with the C core; see `Coder`. Arrays travel as bytes, without the interpreter's lock."""

    is_native = True

    def __init__(self, data: bytes, core: ModuleType) -> None:
        self.model = EntropyModel.from_bytes(data)
        self._core: Any = core
        self._handle = core.open(data)

    def quantise(self, latents: npt.NDArray[np.int8], level: int, rounding: int) -> Symbols:
        """Return symbols in coding order; see `Coder.quantise`."""
        symbols = self._core.quantise(self._handle, latents.tobytes(), level, rounding)
        return np.frombuffer(symbols, np.int16).reshape(latents.shape)

    def rdoq(
        self, latents: npt.NDArray[np.int8], level: int, rounding: int, strength: int
    ) -> tuple[Symbols, list[int]]:
        """Quantise, rate-distortion optimised; see `Coder.rdoq`."""
        rows, columns, _ = latents.shape
        symbols, bits = self._core.rdoq(
            self._handle, latents.tobytes(), rows, columns, level, rounding, strength
        )
        return np.frombuffer(symbols, np.int16).reshape(latents.shape), list(bits)

    def estimate(self, symbols: Symbols, level: int) -> list[int]:
        """Return the bits of each layer; see `Coder.estimate`."""
        rows, columns, _ = symbols.shape
        return list(self._core.estimate(self._handle, symbols.tobytes(), rows, columns, level))

    def encode(self, symbols: Symbols, level: int, *, merged: bool) -> list[bytes]:
        """Return the segments of a slice; see `Coder.encode`."""
        rows, columns, _ = symbols.shape
        return list(self._core.encode(self._handle, symbols.tobytes(), rows, columns, level, merged))

    def decode(
        self, segments: list[bytes], rows: int, columns: int, level: int, *, merged: bool, cut: bool = False
    ) -> DecodedSlice:
        """Decode the first segments of a slice; see `Coder.decode`."""
        try:
            symbols, read = self._core.decode(
                self._handle, tuple(segments), cut, rows, columns, level, merged
            )
        except self._core.CorruptError as error:
            raise corrupt(f"a segment is {error}") from None
        return DecodedSlice(np.frombuffer(symbols, np.int16).reshape(rows, columns, -1), tuple(read))
