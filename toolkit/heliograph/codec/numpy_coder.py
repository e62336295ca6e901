"""The coder in numpy: what runs where the C core was not built, and what the C core is tested against."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from heliograph.codec import rans
from heliograph.codec.coder import MAX_SYMBOL, OUT_OF_RANGE, DecodedSlice, Symbols
from heliograph.codec.contexts import Contexts
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.levels import LEVELS, steps_at


class NumpyCoder:
    """Codes slices in numpy and Python; see `Coder`."""

    is_native = False

    def __init__(self, data: bytes) -> None:
        self.model = EntropyModel.from_bytes(data)

    @cached_property
    def _tables(self) -> rans.Tables:
        return rans.Tables(self.model)

    def quantise(self, latents: npt.NDArray[np.int8], level: int, rounding: int) -> Symbols:
        """Return symbols in coding order; see `Coder.quantise`."""
        if not (0 <= level < LEVELS and 0 <= rounding <= quantise.ROUND_UNIT // 2):
            raise ValueError(OUT_OF_RANGE)
        ordered = latents[..., self.model.order]
        return quantise.quantise(ordered, steps_at(self.model.steps, level), rounding)

    def rdoq(
        self, latents: npt.NDArray[np.int8], level: int, rounding: int, strength: int
    ) -> tuple[Symbols, list[int]]:
        """Quantise, rate-distortion optimised; see `Coder.rdoq`."""
        symbols = self.quantise(latents, level, rounding)
        if strength:
            symbols = self._toward_prediction(latents[..., self.model.order], symbols, level, strength)
        return symbols, self.estimate(symbols, level)

    def _toward_prediction(
        self, latents: npt.NDArray[np.int8], symbols: Symbols, level: int, strength: int
    ) -> Symbols:
        channels = symbols.shape[-1]
        out = symbols.reshape(-1, channels).astype(np.int64)
        exact = latents.reshape(-1, channels).astype(np.int64)
        steps = steps_at(self.model.steps, level).astype(np.int64)
        contexts = Contexts.of(self.model, symbols, level)
        out[:, ~contexts.sent] = 0
        for coded in contexts.walk():
            place = coded.positions, coded.channels
            k, step = out[place], steps[coded.channels]
            r = k - coded.prediction
            way = np.where(r < 0, 1, -1)
            more = step - 2 * way * (16 * exact[place] - k * step)
            saved = self._tables.costs_in(r, coded.tables) - self._tables.costs_in(r + way, coded.tables)
            moved = (r != 0) & coded.sent & (np.abs(k + way) <= MAX_SYMBOL) & (more <= step)
            moved &= strength * rans.COST_UNIT * more < saved * step
            out[place] = np.where(moved, k + way, k)
            coded.put(np.where(moved, r + way, r))
        return out.reshape(symbols.shape).astype(np.int16)

    def estimate(self, symbols: Symbols, level: int) -> list[int]:
        """Return the bits of each layer; see `Coder.estimate`."""
        contexts = Contexts.of(self.model, symbols, level)
        bits = [0] * len(self.model.layers)
        for coded, residual in contexts.residuals(symbols):
            costs = self._tables.costs_in(residual[:, coded.sent], coded.tables[:, coded.sent])
            bits[coded.layer] += int(costs.sum())
        return bits

    def encode(self, symbols: Symbols, level: int, *, merged: bool) -> list[bytes]:
        """Return the segments of a slice; see `Coder.encode`."""
        if symbols.size and np.abs(symbols).max() > MAX_SYMBOL:
            raise ValueError(f"a symbol is beyond {MAX_SYMBOL}")
        contexts = Contexts.of(self.model, symbols, level)
        segments = []
        for layers in self._segments(merged):
            passes = [
                (rans.zigzag(residual[:, coded.sent].reshape(-1)), coded.tables[:, coded.sent].reshape(-1))
                for coded, residual in contexts.residuals(symbols, layers)
            ]
            segments.append(rans.encode(passes, self._tables) if any(z.any() for z, _ in passes) else b"")
        return segments

    def _segments(self, merged: bool) -> list[range]:
        """Return the layers of each segment."""
        count = len(self.model.layers)
        return [range(count)] if merged else [range(layer, layer + 1) for layer in range(count)]

    def decode(
        self, segments: list[bytes], rows: int, columns: int, level: int, *, merged: bool, cut: bool = False
    ) -> DecodedSlice:
        """Decode the first segments of a slice; see `Coder.decode`."""
        if not (
            min(rows, columns) >= 1 and 0 <= level < LEVELS and len(segments) <= len(self._segments(merged))
        ):
            raise ValueError(OUT_OF_RANGE)
        contexts = Contexts(self.model, rows, columns, level)
        read = [0] * len(self.model.layers)
        for number, layers in enumerate(self._segments(merged)):
            payload = segments[number] if number < len(segments) else b""
            decoder = rans.Decoder(payload, self._tables)
            for coded in contexts.walk(layers):
                residual = np.zeros(coded.prediction.shape, np.int64)
                if not decoder.ended:
                    table = coded.tables[:, coded.sent]
                    z, count = decoder.read(table.reshape(-1))
                    residual[:, coded.sent] = rans.unzigzag(z).reshape(table.shape)
                    read[coded.layer] += count
                coded.put(residual)
            is_tolerated = cut and decoder.ended and number == len(segments) - 1
            if payload and not is_tolerated:
                decoder.finish()
        return DecodedSlice(contexts.symbols.reshape(rows, columns, -1), tuple(read))
