"""A slice of a picture: its symbols to one segment per layer and back, in C where the extension is there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import contexts, quantise, rans
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.levels import steps_at
from heliograph.errors import StreamError

Symbols = npt.NDArray[np.int16]  # [rows, columns, C], channels in coding order
MAX_SYMBOL = 256
CORE_INTERFACE = 1  # of the extension, see csrc/python.c: an editable install may lag behind its sources
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


@dataclass(frozen=True)
class DecodedSlice:
    """Symbols int16 [rows, columns, C] in coding order, and how many residuals of each layer were read."""

    symbols: Symbols
    read: tuple[int, ...]


def corrupt(reason: str) -> StreamError:
    """Return the error for bytes that no encoder writes."""
    return StreamError(f"stream is corrupt: {reason}; fetch the file again")


class Coder:
    """Codes slices with an entropy model; `core` None chooses the numpy code. Safe in several threads."""

    def __init__(self, data: bytes, core: ModuleType | None) -> None:
        self.model = EntropyModel.from_bytes(data)
        self._core: Any = core
        self._handle = core.open(data) if core is not None else None

    @cached_property
    def _tables(self) -> rans.Tables:
        return rans.Tables(self.model)

    @property
    def is_native(self) -> bool:
        """Whether the C core does the work."""
        return self._core is not None

    def quantise(self, latents: npt.NDArray[np.int8], level: int, rounding: int) -> Symbols:
        """Return symbols in coding order of latents int8 [h, w, C] in the encoder's order."""
        if self._core is not None:
            found = self._core.quantise(self._handle, latents.tobytes(), level, rounding)
            return np.frombuffer(found, np.int16).reshape(latents.shape)
        ordered = latents[..., self.model.order]
        return quantise.quantise(ordered, steps_at(self.model.steps, level), rounding)

    def refine(
        self, latents: npt.NDArray[np.int8], level: int, rounding: int, strength: int
    ) -> tuple[Symbols, list[int]]:
        """Quantise a slice's latents with a look at the bits: symbols in coding order, bits of each layer.

        A symbol moves by one towards its prediction (0 in most channels) where that saves more bits than the
        error it adds is worth: `strength` bits for the square of a step. It stays within a step of its latent,
        and contexts see what was decided before.
        """
        rows, columns, _ = latents.shape
        if self._core is not None:
            found, bits = self._core.refine(
                self._handle, latents.tobytes(), rows, columns, level, rounding, strength
            )
            return np.frombuffer(found, np.int16).reshape(latents.shape), list(bits)
        symbols = self.quantise(latents, level, rounding)
        if strength:
            symbols = self._refined(latents[..., self.model.order], symbols, level, strength)
        return symbols, self.estimate(symbols, level)

    def _refined(self, latents: npt.NDArray[np.int8], symbols: Symbols, level: int, strength: int) -> Symbols:
        rows, columns, channels = symbols.shape
        out, exact = (
            symbols.reshape(-1, channels).astype(np.int64),
            latents.reshape(-1, channels).astype(np.int64),
        )
        step = steps_at(self.model.steps, level).astype(np.int64)
        state = contexts.Contexts(self.model, rows, columns, level)
        out[:, ~state.sent] = 0
        for layer in range(len(self.model.layers)):
            start, stop = self.model.span(layer)
            part, sent = step[start:stop], state.sent[start:stop]
            for number, positions, taps in state.walk(layer):
                table = state.tables(layer, number, positions, taps)
                guess = state.predict(number, taps) if layer == 0 else None
                k = out[positions, start:stop]
                r = k.copy()
                if guess is not None:
                    r[:, : guess.shape[1]] -= guess
                way = np.where(r < 0, 1, -1)
                more = part - 2 * way * (16 * exact[positions, start:stop] - k * part)
                saved = self._tables.costs_in(r, table) - self._tables.costs_in(r + way, table)
                moved = (r != 0) & sent & (np.abs(k + way) <= MAX_SYMBOL) & (more <= part)
                moved &= strength * rans.COST_UNIT * more < saved * part
                out[positions, start:stop] = np.where(moved, k + way, k)
                state.put(layer, positions, np.where(moved, r + way, r), guess)
        return out.reshape(symbols.shape).astype(np.int16)

    def restore_order(self, symbols: Symbols) -> Symbols:
        """Return symbols in the encoder's channel order."""
        out = np.empty_like(symbols)
        out[..., self.model.order] = symbols
        return out

    def estimate(self, symbols: Symbols, level: int) -> list[int]:
        """Return the bits of each layer, in 1/1024 bit, without coding."""
        rows, columns, _ = symbols.shape
        if self._core is not None:
            return list(self._core.estimate(self._handle, symbols.tobytes(), rows, columns, level))
        return [
            sum(self._tables.bits(z, t) for z, t in layer) for layer in self._model_layers(symbols, level)
        ]

    def encode(self, symbols: Symbols, level: int, *, merged: bool) -> list[bytes]:
        """Return the segments of a slice: one for each layer, or one if `merged`; empty where all is zero."""
        rows, columns, _ = symbols.shape
        if symbols.size and np.abs(symbols).max() > MAX_SYMBOL:
            raise ValueError(f"a symbol is beyond {MAX_SYMBOL}")
        if self._core is not None:
            return list(self._core.encode(self._handle, symbols.tobytes(), rows, columns, level, merged))
        layers = self._model_layers(symbols, level)
        groups = [[p for layer in layers for p in layer]] if merged else layers
        return [
            rans.encode(passes, self._tables) if any(z.any() for z, _ in passes) else b"" for passes in groups
        ]

    def _model_layers(
        self, symbols: Symbols, level: int
    ) -> list[list[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]]]:
        """Return zigzagged residuals and tables of every pass of every layer."""
        rows, columns, channels = symbols.shape
        flat = symbols.reshape(-1, channels).astype(np.int64)
        state = contexts.Contexts(self.model, rows, columns, level)
        layers = []
        for layer in range(len(self.model.layers)):
            start, stop = self.model.span(layer)
            sent = state.sent[start:stop]
            passes = []
            for number, positions, taps in state.walk(layer):
                table = state.tables(layer, number, positions, taps)
                residual = np.where(sent, flat[positions, start:stop], 0)
                guess = state.predict(number, taps) if layer == 0 else None
                if guess is not None:
                    residual[:, : guess.shape[1]] -= guess
                state.put(layer, positions, residual, guess)
                passes.append((rans.zigzag(residual[:, sent].reshape(-1)), table[:, sent].reshape(-1)))
            layers.append(passes)
        return layers

    def decode(
        self, segments: list[bytes], rows: int, columns: int, level: int, *, merged: bool, cut: bool = False
    ) -> DecodedSlice:
        """Decode the first segments of a slice; layers that are not given have residuals of zero.

        Args:
            segments: payloads in order, empty where all is zero.
            cut: the last one may end early; what is lost becomes its prediction.

        Raises:
            StreamError: bytes no encoder writes, or a segment that ends early without `cut`.
        """
        if self._core is not None:
            try:
                found, read = self._core.decode(
                    self._handle, tuple(segments), cut, rows, columns, level, merged
                )
            except ValueError as error:
                raise corrupt(f"a segment is {error}") from None
            return DecodedSlice(np.frombuffer(found, np.int16).reshape(rows, columns, -1), tuple(read))
        state = contexts.Contexts(self.model, rows, columns, level)
        layers = len(self.model.layers)
        read = [0] * layers
        decoder = rans.Decoder(b"", self._tables)
        for layer in range(layers):
            number = 0 if merged else layer
            if not merged or layer == 0:
                payload = segments[number] if number < len(segments) else b""
                decoder = rans.Decoder(payload, self._tables)
            read[layer] = self._read_layer(state, layer, decoder)
            is_over = not merged or layer == layers - 1
            tolerated = cut and decoder.ended and number == len(segments) - 1
            if payload and is_over and not tolerated:
                decoder.finish()
        return DecodedSlice(state.symbols.reshape(rows, columns, -1), tuple(read))

    def _read_layer(self, state: contexts.Contexts, layer: int, decoder: rans.Decoder) -> int:
        start, stop = self.model.span(layer)
        sent = state.sent[start:stop]
        total = 0
        for number, positions, taps in state.walk(layer):
            residual = np.zeros((len(positions), stop - start), np.int64)
            if not decoder.ended:
                table = state.tables(layer, number, positions, taps)[:, sent]
                z, count = decoder.read(table.reshape(-1))
                residual[:, sent] = rans.unzigzag(z).reshape(len(positions), int(sent.sum()))
                total += count
            guess = state.predict(number, taps) if layer == 0 else None
            state.put(layer, positions, residual, guess)
        return total
