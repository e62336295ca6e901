"""The coder in C: the extension `heliograph._core`, where it was built."""

from __future__ import annotations

import logging
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from heliograph.codec.coder import OUT_OF_RANGE, Coded, DecodedSlice, Reference, corrupt
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.values import Values

CORE_INTERFACE = 7  # of the extension, see csrc/python.c: an editable install may lag behind its sources
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

    def encode(
        self,
        latents: Values,
        level: int,
        *,
        rounding: int,
        strength: int,
        merge_below: int = 0,
        short_below: int = 0,
        reference: Reference | None = None,
        only_estimate: bool = False,
    ) -> Coded:
        """Quantise and code a slice's latents; see `Coder.encode`."""
        rows, columns, _ = latents.shape
        values, from_level = self._reference(reference, latents.shape)
        segments, found, bits, is_short = self._core.encode(
            self._handle,
            latents.tobytes(),
            rows,
            columns,
            level,
            rounding,
            strength,
            merge_below,
            short_below,
            values,
            from_level,
            only_estimate,
        )
        known = np.frombuffer(found, np.int16).reshape(latents.shape)
        return Coded(list(segments), known, tuple(bits), is_short)

    def decode(
        self,
        segments: list[bytes],
        rows: int,
        columns: int,
        level: int,
        *,
        merged: bool,
        short: bool = False,
        cut: bool = False,
        reference: Reference | None = None,
    ) -> DecodedSlice:
        """Decode the first segments of a slice; see `Coder.decode`."""
        values, from_level = self._reference(reference, (rows, columns, self.model.channels))
        form = 2 if short else int(merged)  # hg_form
        try:
            found, read = self._core.decode(
                self._handle, tuple(segments), cut, rows, columns, level, form, values, from_level
            )
        except self._core.CorruptError as error:
            raise corrupt(f"a segment is {error}") from None
        return DecodedSlice(np.frombuffer(found, np.int16).reshape(rows, columns, -1), tuple(read))

    def _reference(self, reference: Reference | None, shape: tuple[int, ...]) -> tuple[bytes | None, int]:
        if reference is None:
            return None, 0
        if reference.values.shape != shape:
            raise ValueError(OUT_OF_RANGE)
        return reference.values.astype(np.int16).tobytes(), reference.level
