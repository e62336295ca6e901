"""The coder in numpy: what runs where the C core was not built, and what the C core is tested against."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt

from heliograph.codec import rans
from heliograph.codec.coder import (
    MOST_ROUNDING,
    MOST_STRENGTH,
    OUT_OF_RANGE,
    Coded,
    DecodedSlice,
    Reference,
)
from heliograph.codec.container import MAX_SHORT, MAX_SHORT_POSITIONS
from heliograph.codec.contexts import Contexts, Int64, Pass
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.levels import LEVELS
from heliograph.codec.values import HIGHEST, LOWEST, Values

ROUND_UNIT = 256  # of a rounding is one step


class NumpyCoder:
    """Codes slices in numpy and Python; see `Coder`."""

    is_native = False

    def __init__(self, data: bytes) -> None:
        self.model = EntropyModel.from_bytes(data)

    @cached_property
    def tables(self) -> rans.Tables:
        """The model's tables, unfolded."""
        return rans.Tables(self.model)

    def _contexts(self, rows: int, columns: int, level: int, reference: Reference | None) -> Contexts:
        if min(rows, columns) < 1 or not 0 <= level < LEVELS:
            raise ValueError(OUT_OF_RANGE)
        if reference is not None and not (
            len(self.model.sets) == 2
            and reference.values.shape == (rows, columns, self.model.channels)
            and 0 <= reference.level < LEVELS
        ):
            raise ValueError(OUT_OF_RANGE)
        return Contexts(self.model, rows, columns, level, reference)

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
        rows, columns, channels = latents.shape
        contexts = self._contexts(rows, columns, level, reference)
        if not (
            0 <= rounding <= MOST_ROUNDING
            and 0 <= strength <= MOST_STRENGTH
            and merge_below >= 0
            and 0 <= short_below <= MAX_SHORT // 2
            and latents.dtype == np.int16
            and LOWEST <= latents.min() <= latents.max() <= HIGHEST
        ):
            raise ValueError(OUT_OF_RANGE)
        layers = len(self.model.layers)
        passes: list[list[rans.Symbols]] = [[] for _ in range(layers)]
        is_empty = [True] * layers
        for coded, residual, flag in self.encode_passes(
            contexts, latents, rounding=rounding, strength=strength
        ):
            passes[coded.layer].append(self._symbols(coded, residual, flag))
            is_empty[coded.layer] &= not flag.any()
        bits = tuple(sum(int(s.cost.sum()) for s in of_layer) for of_layer in passes)
        size = sum(bits) // (8 * rans.COST_UNIT)
        is_short = size < short_below and rows * columns <= MAX_SHORT_POSITIONS
        segments = []
        if not only_estimate:
            for some in self._segments(merged=is_short or size < merge_below):
                symbols = [s for layer in some for s in passes[layer]]
                is_flat = all(is_empty[layer] for layer in some)
                segments.append(b"" if is_flat else rans.encode(symbols, short=is_short))
        return Coded(segments, contexts.values.reshape(rows, columns, channels), bits, is_short)

    def encode_passes(
        self, contexts: Contexts, latents: Values, *, rounding: int, strength: int
    ) -> Iterator[tuple[Pass, Int64, npt.NDArray[np.bool_]]]:
        """Quantise a slice into its contexts; yield each pass before `put`, its residuals and flags [n, groups]."""
        exact = latents.reshape(-1, self.model.channels)[:, self.model.order].astype(np.int64)
        for coded in contexts.walk():
            residual = self._quantise(coded, exact[coded.positions, coded.channels], rounding, strength)
            yield coded, residual, coded.by_group(np.abs(residual)) > 0
            coded.put(residual)

    def _quantise(self, coded: Pass, exact: Int64, rounding: int, strength: int) -> Int64:
        """Return the residuals of a pass, int64 [n, count].

        RDOQ, the same in csrc/core/quantisation.h: `e` is the error without a residual; clamping does not count.

        1. A residual moves by one towards 0 unless it then is more than a step from the latent, if
           `strength * 1024 * more < saved * step`: `more * step` is what is added to the square of its error, `saved`
           are 1/1024 bits.
        2. All of a group become 0 if the sum over those that are not of
           `(1024 * strength * |r| * (2 * |e| - |r| * step)) / step`, rounded down, what that adds to the squares of the
           errors in steps, is less than what flag and residuals save.
        """
        step = coded.steps
        e = exact - coded.guess
        size = (np.abs(e) * ROUND_UNIT + step * rounding) // (ROUND_UNIT * step)
        r: Int64 = np.sign(e) * size
        if not strength:
            return r
        way = np.where(r < 0, 1, -1)
        more = step - 2 * way * (e - r * step)
        cost, nearer = (self.tables.costs_in(x, coded.tables) for x in (r, r + way))
        moved = (r != 0) & (more <= step) & (strength * rans.COST_UNIT * more < (cost - nearer) * step)
        r, cost = np.where(moved, r + way, r), np.where(moved, nearer, cost)
        size = np.abs(r)
        added = (rans.COST_UNIT * strength * size * (2 * np.abs(e) - size * step)) // step
        off, on = self.tables.flag_cost[:, coded.flag_tables]
        is_zeroed = coded.by_group(added) < on - off + coded.by_group(cost)
        return np.where(coded.by_channel(is_zeroed), 0, r)

    def _symbols(self, coded: Pass, residual: Int64, flag: npt.NDArray[np.bool_]) -> rans.Symbols:
        """Return what is coded of a pass: its flags, then the residuals of groups whose flag is 1."""
        flags = self.tables.flags(flag.reshape(-1), coded.flag_tables.reshape(-1))
        if not flag.any():
            return flags
        sent = coded.by_channel(flag)
        return flags.then(self.tables.symbols(residual[sent], coded.tables[sent]))

    def _segments(self, *, merged: bool) -> list[range]:
        """Return the layers of each segment."""
        count = len(self.model.layers)
        return [range(count)] if merged else [range(layer, layer + 1) for layer in range(count)]

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
        if short and (len(segments) != 1 or cut or rows * columns > MAX_SHORT_POSITIONS):
            raise ValueError(OUT_OF_RANGE)
        contexts = self._contexts(rows, columns, level, reference)
        read = [0] * len(self.model.layers)
        for coded, _, count in self.decode_passes(contexts, segments, merged=merged, short=short, cut=cut):
            read[coded.layer] += count
        return DecodedSlice(contexts.values.reshape(rows, columns, -1), tuple(read))

    def decode_passes(
        self,
        contexts: Contexts,
        segments: list[bytes],
        *,
        merged: bool,
        short: bool = False,
        cut: bool = False,
    ) -> Iterator[tuple[Pass, Int64, int]]:
        """Decode a slice into its contexts; yield each pass before `put`, its residuals and how much was read of it."""
        parts = self._segments(merged=merged or short)
        if len(segments) > len(parts):
            raise ValueError(OUT_OF_RANGE)
        for number, layers in enumerate(parts):
            if number >= len(segments):
                for coded in contexts.walk(layers):
                    coded.skip()
                continue
            payload = segments[number]
            decoder = rans.Decoder(payload, self.tables, short=short)
            for coded in contexts.walk(layers):
                if payload and decoder.ended:
                    coded.skip()
                    continue
                residual: Int64 = np.zeros(
                    (len(coded.positions), coded.channels.stop - coded.channels.start), np.int64
                )
                known, count = None, 0
                if payload:
                    known, count = self._read(decoder, coded, residual)
                yield coded, residual, count
                coded.put(residual, known)
            is_tolerated = cut and decoder.ended and number == len(segments) - 1
            if payload and not is_tolerated:
                decoder.finish()

    def _read(
        self, decoder: rans.Decoder, coded: Pass, residual: Int64
    ) -> tuple[npt.NDArray[np.bool_] | None, int]:
        """Read the residuals of a pass [n, count]; return which values are known, None for all, and the number read."""
        tables = coded.flag_tables
        flag, count = decoder.flags(tables.reshape(-1))
        sent = coded.by_channel(flag.reshape(tables.shape))
        of_sent, more = (
            decoder.residuals(coded.tables[sent], len(flag)) if sent.any() else (residual[sent], 0)
        )
        residual[sent] = of_sent
        if not decoder.ended:
            return None, count + more
        known = coded.by_channel((np.arange(len(flag)) < count).reshape(tables.shape))
        known[sent] = np.arange(len(of_sent)) < more
        return known, count + more
