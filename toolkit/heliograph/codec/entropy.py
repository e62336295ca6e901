"""Entropy coding: symbols to bytes with interleaved rANS over static integer frequency tables.

States are 32-bit, renormalised by 16-bit words (Duda 2013; interleaving as in Giesen 2014). All lanes
share one word stream; words are read forwards, so the encoder works backwards. A symbol k is mapped to
z = 2|k| - (k > 0); z below a table's last token is a token, else the last token followed by the
Exp-Golomb code of the rest in a separate bit string.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.errors import StreamError

PRECISION = 14  # frequencies of a table sum to 2**14
TOTAL = 1 << PRECISION
LOWER = 1 << 16  # a state lies in [LOWER, LOWER << 16)
MAX_LANES = 64
MAX_TOKENS = 258
Symbols = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Tables:
    """Frequency tables: `frequency` uint16 [T, MAX_TOKENS] (zero beyond a table's end), `count` uint16 [T]."""

    frequency: npt.NDArray[np.uint16]
    count: npt.NDArray[np.uint16]

    def __post_init__(self) -> None:
        tokens = np.arange(self.frequency.shape[1])[None, :] < self.count[:, None].astype(np.int64)
        if not (
            np.all((self.frequency > 0) == tokens)
            and np.all(self.frequency.sum(axis=1, dtype=np.int64) == TOTAL)
            and np.all(self.count >= 2)
        ):
            raise ValueError(f"a frequency table must be positive up to its count and sum to {TOTAL}")

    @property
    def start(self) -> npt.NDArray[np.int64]:
        """Cumulative frequency before each token, int64 [T, MAX_TOKENS]."""
        return np.cumsum(self.frequency, axis=1, dtype=np.int64) - self.frequency

    def lookup(self) -> npt.NDArray[np.uint16]:
        """Return the token of every slot, uint16 [T, TOTAL]."""
        tokens = np.arange(self.frequency.shape[1], dtype=np.uint16)
        return np.stack([np.repeat(tokens, row) for row in self.frequency.astype(np.int64)])


def zigzag(symbols: Symbols) -> npt.NDArray[np.int64]:
    """Map 0, 1, -1, 2, -2 ... to 0, 1, 2, 3, 4 ..."""
    k = symbols.astype(np.int64)
    return 2 * np.abs(k) - (k > 0)


def unzigzag(z: npt.NDArray[np.integer]) -> Symbols:
    """Invert `zigzag`."""
    return np.where(z & 1, (z + 1) >> 1, -(z >> 1)).astype(np.int16)


def choose_lanes(bits: float) -> int:
    """Return how many lanes cost about 1 % of a payload of so many bits: a power of two, 1 to 64.

    A lane's state costs two bytes more than the information in it.
    """
    lanes = 1
    while lanes < MAX_LANES and 2 * lanes * 16 * 100 <= bits:
        lanes *= 2
    return lanes


def cost_bits(z: npt.NDArray[np.int64], table: npt.NDArray[np.uint8], tables: Tables) -> float:
    """Return the bits that symbols (zigzagged) take under their tables, escapes included."""
    last = tables.count.astype(np.int64)[table] - 1
    token = np.minimum(z, last)
    bits = PRECISION - np.log2(tables.frequency[table, token].astype(np.float64))
    escaped = z >= last
    rest = (z - last)[escaped] + 1
    return float(bits.sum() + (2 * np.floor(np.log2(rest)) + 1).sum())


def least_bits(index: npt.NDArray[np.uint8], tables: Tables) -> float:
    """Return the fewest bits in which one symbol of each of the tables [N] can be coded."""
    cheapest = PRECISION - np.log2(tables.frequency.max(axis=1).astype(np.float64))
    return float(cheapest[index].sum())


def encode(symbols: Symbols, table: npt.NDArray[np.uint8], tables: Tables) -> tuple[int, bytes]:
    """Encode symbols [N], each with its table [N]; return (lanes, bytes)."""
    z = zigzag(symbols)
    last = tables.count.astype(np.int64)[table] - 1
    token = np.minimum(z, last)
    lanes = choose_lanes(cost_bits(z, table, tables))
    words = _encode_tokens(token, table, tables, lanes)
    escapes = _exp_golomb((z - last)[z >= last])
    return lanes, words + escapes


def _encode_tokens(
    token: npt.NDArray[np.int64], table: npt.NDArray[np.uint8], tables: Tables, lanes: int
) -> bytes:
    count = len(token)
    steps = -(-count // lanes)
    frequency = np.full(steps * lanes, TOTAL, np.int64)  # padding: a certain symbol costs nothing
    start = np.zeros(steps * lanes, np.int64)
    frequency[:count] = tables.frequency[table, token]
    start[:count] = tables.start[table, token]
    frequency, start = frequency.reshape(steps, lanes), start.reshape(steps, lanes)
    state = np.full(lanes, LOWER, np.int64)
    out: list[npt.NDArray[np.uint16]] = []
    for f, s in zip(frequency[::-1], start[::-1], strict=True):
        full = state >= f << (32 - PRECISION)
        if full.any():
            out.append((state[full][::-1] & 0xFFFF).astype("<u2"))
            state = np.where(full, state >> 16, state)
        quotient = state // f
        state = (quotient << PRECISION) + (state - quotient * f) + s
    body = np.concatenate(out)[::-1] if out else np.zeros(0, "<u2")
    return state.astype("<u4").tobytes() + body.astype("<u2").tobytes()


def decode(data: bytes, lanes: int, table: npt.NDArray[np.uint8], tables: Tables) -> Symbols:
    """Decode what `encode` made; the tables [N] of all symbols must be the same.

    Raises:
        StreamError: the bytes end early, leave a rest, or end in a state no encoder produces.
    """
    count = len(table)
    steps = -(-count // lanes)
    head = 4 * lanes
    if len(data) < head:
        raise StreamError(
            f"stream payload is cut: got {len(data)} bytes, expected at least {head}; fetch the file again"
        )
    state = np.frombuffer(data[:head], "<u4").astype(np.int64)
    if state.min() < LOWER:
        raise StreamError("stream payload is corrupt: a coder state is below its range; fetch the file again")
    words = np.frombuffer(data[head : head + (len(data) - head) // 2 * 2], "<u2").astype(np.int64)
    padded = np.zeros(steps * lanes, np.uint8)
    padded[:count] = table
    rows = padded.reshape(steps, lanes)
    lookup, wide = tables.lookup(), tables.frequency.astype(np.int64)
    start = tables.start
    live = np.arange(lanes) < count - (steps - 1) * lanes  # lanes with a symbol in the last step
    token = np.zeros((steps, lanes), np.uint16)
    at = 0
    for i in range(steps):
        slot = state & (TOTAL - 1)
        t = lookup[rows[i], slot].astype(np.int64)
        moved = wide[rows[i], t] * (state >> PRECISION) + slot - start[rows[i], t]
        state = moved if i < steps - 1 else np.where(live, moved, state)
        token[i] = t
        low = state < LOWER
        need = int(np.count_nonzero(low))
        if need:
            if at + need > len(words):
                raise StreamError(
                    f"stream payload is cut: {len(words)} words of rANS data, more needed; fetch the file again"
                )
            state[low] = (state[low] << 16) | words[at : at + need]
            at += need
    if np.any(state != LOWER):
        raise StreamError("stream payload is corrupt: the coder did not end where it began; fetch the file again")
    z = token.reshape(-1)[:count].astype(np.int32)
    escaped = z >= (tables.count.astype(np.int32) - 1)[table]
    z[escaped] += _read_exp_golomb(data[head + 2 * at :], int(np.count_nonzero(escaped)))
    if z.size and z.max() > 2 * np.iinfo(np.int16).max:
        raise StreamError("stream payload is corrupt: a symbol exceeds 16 bits; fetch the file again")
    return unzigzag(z)


def _exp_golomb(values: npt.NDArray[np.int64]) -> bytes:
    """Order-0 Exp-Golomb codes, most significant bit first, zero-filled to whole bytes."""
    text = "".join("0" * ((int(v) + 1).bit_length() - 1) + format(int(v) + 1, "b") for v in values)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big") if text else b""


def _read_exp_golomb(data: bytes, count: int) -> npt.NDArray[np.int32]:
    text = "".join(format(b, "08b") for b in data)
    values = np.zeros(count, np.int32)
    at = 0
    for i in range(count):
        one = text.find("1", at)
        length = one - at
        if one < 0 or length > 16 or one + length + 1 > len(text):
            raise StreamError("stream payload is corrupt: a bad escape code; fetch the file again")
        values[i] = int(text[one : one + length + 1], 2) - 1
        at = one + length + 1
    if len(text) - at >= 8 or "1" in text[at:]:
        raise StreamError("stream payload is corrupt: bytes are left after the last symbol; fetch the file again")
    return values
