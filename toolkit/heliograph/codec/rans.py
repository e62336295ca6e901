"""rANS in Python: symbols to bytes and back, each under a table of its own (FORMAT.md, section 7).

States of 32 bits, renormalised by 16-bit words (Duda 2013), several lanes in one word stream (Giesen 2014).
The C core does the same; this is what runs without it. States follow each other too closely for numpy, so
the loops work on Python integers.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from heliograph.codec.entropy_model import PRECISION, TOTAL, EntropyModel
from heliograph.errors import StreamError

LOWER = 1 << 16
MAX_LANES = 64
BYTES_PER_LANE = 1024
COST_UNIT = 1024
_MASK = TOTAL - 1
_ESCAPE_BITS = 11
Int64 = npt.NDArray[np.int64]


def zigzag(residual: Int64) -> Int64:
    """Map 0, 1, -1, 2, -2 ... to 0, 1, 2, 3, 4 ..."""
    return 2 * np.abs(residual) - (residual > 0)


def unzigzag(z: Int64) -> Int64:
    """Invert `zigzag`."""
    return np.where(z & 1, (z + 1) >> 1, -(z >> 1))


@dataclass(frozen=True)
class Symbols:
    """What a pass codes, in order: int64 [n] first slots and slots of the tokens, what an escape adds (else 0), costs.

    `rest` is one more than a symbol is beyond its table's last token.
    """

    starts: Int64
    frequency: Int64
    rest: Int64
    cost: Int64

    def then(self, others: Symbols) -> Symbols:
        """Return these and then others."""
        pairs = zip(astuple(self), astuple(others), strict=True)
        return Symbols(*(np.concatenate(pair) for pair in pairs))


class Tables:
    """The tables of a model, unfolded for coding."""

    def __init__(self, model: EntropyModel) -> None:
        self.counts = model.counts
        self.at = np.cumsum(model.counts) - model.counts
        starts = model.starts.astype(np.int64)
        ends = np.append(starts[1:], TOTAL)
        ends[self.at[1:] - 1] = TOTAL
        self.starts, self.frequency = starts, ends - starts
        self.cost = costs(self.frequency)
        self.zeros = model.zeros.astype(np.int64)
        self.flag_cost = np.stack([costs(self.zeros), costs(TOTAL - self.zeros)])  # [2, B]
        self._lookup: dict[int, list[int]] = {}

    def lookup(self, table: int) -> list[int]:
        """Return the token of every slot of a table."""
        tokens = self._lookup.get(table)
        if tokens is None:
            first, count = int(self.at[table]), int(self.counts[table])
            tokens = np.repeat(np.arange(count), self.frequency[first : first + count]).tolist()
            self._lookup[table] = tokens
        return tokens

    def costs_in(self, residual: Int64, table: npt.NDArray[np.uint8]) -> Int64:
        """Return the bits of residuals under their tables, of equal shape, in 1/1024 bit."""
        z, last = zigzag(residual), self.counts[table] - 1
        cost = self.cost[self.at[table] + np.minimum(z, last)]
        escaped = z >= last
        lengths = np.floor(np.log2((z - last)[escaped] + 1)).astype(np.int64) + 1
        cost[escaped] += COST_UNIT * (3 + lengths)
        return np.asarray(cost)

    def symbols(self, residual: Int64, table: npt.NDArray[np.uint8]) -> Symbols:
        """Return residuals [n] under their tables [n], to be coded."""
        z, last = zigzag(residual), self.counts[table] - 1
        at = self.at[table] + np.minimum(z, last)
        rest = np.where(z >= last, z - last + 1, 0)
        return Symbols(self.starts[at], self.frequency[at], rest, self.costs_in(residual, table))

    def flags(self, flag: npt.NDArray[np.bool_], table: npt.NDArray[np.uint8]) -> Symbols:
        """Return flags [n] under their tables [n], to be coded."""
        zero = self.zeros[table]
        slots = np.where(flag, TOTAL - zero, zero)
        nothing = np.zeros(len(flag), np.int64)
        return Symbols(np.where(flag, zero, 0), slots, nothing, self.flag_cost[flag.astype(np.intp), table])


def costs(frequency: Int64) -> Int64:
    """Return 1024 (14 - log2 f) rounded, by squaring a 31-bit mantissa as the C core does."""
    f = frequency.astype(np.uint64)
    whole = np.floor(np.log2(frequency)).astype(np.uint64)
    v = f << (np.uint64(31) - whole)
    fraction = np.zeros(len(f), np.int64)
    for _ in range(11):
        v = (v * v) >> np.uint64(31)
        high = v >> np.uint64(32)
        v >>= high
        fraction = 2 * fraction + high.astype(np.int64)
    return (PRECISION - whole.astype(np.int64)) * COST_UNIT - ((fraction + 1) >> 1)


def choose_lanes(bits: int) -> int:
    """Return the lanes of a segment of so many 1/1024 bits: a power of two, one for each 1024 bytes, 1 to 64.

    A lane's state costs two bytes more than the information in it.
    """
    lanes = 1
    while lanes < MAX_LANES and 2 * BYTES_PER_LANE * lanes <= bits >> 13:
        lanes *= 2
    return lanes


def encode(passes: list[Symbols], *, short: bool = False) -> bytes:
    """Encode the passes of a segment, or of the payload of the short form."""
    lanes = 1 if short else choose_lanes(sum(int(p.cost.sum()) for p in passes))
    states = [1 if short else LOWER] * lanes
    words: list[int] = []
    for symbols in reversed(passes):
        rest = symbols.rest.tolist()
        starts, frequencies = symbols.starts.tolist(), symbols.frequency.tolist()
        for i in range(len(rest) - 1, -1, -1):
            lane = i & (lanes - 1)
            state = states[lane]
            if rest[i]:
                length = rest[i].bit_length() - 1
                for value, bits in ((rest[i] - (1 << length), length), (length, 4)):
                    if state >= 1 << (32 - bits):
                        words.append(state & 0xFFFF)
                        state >>= 16
                    state = state << bits | value
            f = frequencies[i]
            if state >= f << (32 - PRECISION):
                words.append(state & 0xFFFF)
                state >>= 16
            q, r = divmod(state, f)
            states[lane] = (q << PRECISION) + r + starts[i]
    if short:
        head = states[0].to_bytes((states[0].bit_length() + 7) // 8, "little")
    else:
        head = bytes([lanes.bit_length() - 1]) + struct.pack(f"<{lanes}I", *states)
    return head + struct.pack(f"<{len(words)}H", *reversed(words))


class Decoder:
    """Reads the flags and residuals of a segment, pass by pass.

    `ended` becomes True when words were needed and none were left; what comes from there on reads as 0. In the short
    form the last symbols need no more words.
    """

    def __init__(self, payload: bytes, tables: Tables, *, short: bool = False) -> None:
        self.tables = tables
        self.ended = True
        self.states: list[int] = []
        self.start = LOWER
        if not payload:
            return
        if short:
            self._open_short(payload)
            return
        if payload[0] > 6:
            raise StreamError(f"stream is corrupt: a segment has 2^{payload[0]} lanes; fetch the file again")
        self.lanes = 1 << payload[0]
        head = 1 + 4 * self.lanes
        if len(payload) < head:
            return
        self.states = list(struct.unpack_from(f"<{self.lanes}I", payload, 1))
        if min(self.states) < LOWER:
            raise StreamError("stream is corrupt: a coder state is below its range; fetch the file again")
        count = (len(payload) - head) // 2
        self.words = list(struct.unpack_from(f"<{count}H", payload, head))
        self.odd = (len(payload) - head) % 2
        self.at = 0
        self.ended = False

    def _open_short(self, payload: bytes) -> None:
        size = len(payload) if len(payload) <= 4 else 4 - len(payload) % 2
        if not payload[size - 1]:
            raise StreamError("stream is corrupt: a coder state has a byte too many; fetch the file again")
        self.lanes, self.start, self.at, self.odd, self.ended = 1, 1, 0, 0, False
        self.states = [int.from_bytes(payload[:size], "little")]
        count = (len(payload) - size) // 2
        self.words = list(struct.unpack_from(f"<{count}H", payload, size))

    def _bits(self, state: int, bits: int) -> tuple[int, int]:
        value = state & ((1 << bits) - 1)
        return value, self._refill(state >> bits)

    def _refill(self, state: int) -> int:
        if state >= LOWER:
            return state
        if self.at >= len(self.words):
            self.ended = self.start == LOWER
            return state
        self.at += 1
        return state << 16 | int(self.words[self.at - 1])

    def flags(self, table: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.bool_], int]:
        """Return the flags of a pass under tables [n], bool [n], and how many were read."""
        out = np.zeros(len(table), bool)
        if self.ended:
            return out, 0
        states, mask = self.states, self.lanes - 1
        for i, zero in enumerate(self.tables.zeros[table].tolist()):
            state = states[i & mask]
            slot = state & _MASK
            if slot < zero:
                state = zero * (state >> PRECISION) + slot
            else:
                state = (TOTAL - zero) * (state >> PRECISION) + slot - zero
            if state < LOWER:
                state = self._refill(state)
                if self.ended:
                    return out, i
            states[i & mask] = state
            out[i] = slot >= zero
        return out, len(table)

    def residuals(self, table: npt.NDArray[np.uint8], after: int) -> tuple[Int64, int]:
        """Return the residuals of a pass under tables [n], int64 [n], and how many were read.

        `after` is the number of the pass's flags.
        """
        z = np.zeros(len(table), np.int64)
        if self.ended:
            return z, 0
        used = {int(t): self.tables.lookup(int(t)) for t in np.unique(table)}
        bases, lasts = self.tables.at.tolist(), (self.tables.counts - 1).tolist()
        starts, frequencies = self.tables.starts.tolist(), self.tables.frequency.tolist()
        states, mask = self.states, self.lanes - 1
        for i, t in enumerate(table.tolist()):
            lane = (after + i) & mask
            state = states[lane]
            slot = state & _MASK
            token = used[t][slot]
            at = bases[t] + token
            state = frequencies[at] * (state >> PRECISION) + slot - starts[at]
            if state < LOWER:
                state = self._refill(state)
            if token == lasts[t] and not self.ended:
                bits, state = self._bits(state, 4)
                if bits > _ESCAPE_BITS and not self.ended:
                    raise StreamError("stream is corrupt: a bad escape code; fetch the file again")
                if not self.ended:
                    rest, state = self._bits(state, bits)
                    token += (1 << bits) - 1 + rest
            if self.ended:
                return unzigzag(z), i
            states[lane] = state
            z[i] = token
        return unzigzag(z), len(table)

    def finish(self) -> None:
        """Raise StreamError unless all bytes were read and every lane is back where its encoder began."""
        if self.ended or self.odd or self.at != len(self.words) or any(s != self.start for s in self.states):
            raise StreamError(
                "stream is corrupt: a segment did not end where its encoder began; fetch the file again"
            )
