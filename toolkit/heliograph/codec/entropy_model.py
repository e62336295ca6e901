"""The entropy model of a codec: steps, contexts and tables in one canonical file (FORMAT.md, section 4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.codec.levels import LEVELS
from heliograph.codec.quantise import QUALITIES

MAGIC = b"HGE1"
NOT_SENT = -32768  # offset of a channel that is not coded at a level
LOG_SIZE = 64
MAX_LAYERS, MAX_CHANNELS, MAX_PREDICTED, MAX_TABLES, MAX_ANCHORS = 8, 256, 32, 128, 32
MAX_FEATURES = (16, 32)
MAX_BIAS = 1 << 26
PRECISION = 14
TOTAL = 1 << PRECISION
_HEAD = struct.Struct("<4sHBBBBBBB3s")
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class PassNetwork:
    """The integer network of one pass.

    Attributes:
        shifts: right shifts after the three stages, 1 to 24.
        mix: int8 [known, first]; mix_bias: int32 [first].
        look: int8 [3, 3, first, second]; look_bias: int32 [second]; level: int16 [second].
        choose: int8 [second, count]; own: int16 [count], or None where no neighbour of the layer is known.
    """

    shifts: tuple[int, int, int]
    mix: Int8
    mix_bias: Int32
    look: Int8
    look_bias: Int32
    level: Int16
    choose: Int8
    own: Int16 | None

    def to_bytes(self) -> bytes:
        """Return the network as stored in the file."""
        arrays = [self.mix_bias.astype("<i4"), self.look_bias.astype("<i4"), self.level.astype("<i2")]
        if self.own is not None:
            arrays.append(self.own.astype("<i2"))
        arrays += [self.mix, self.look, self.choose]
        return bytes((*self.shifts, 0)) + b"".join(a.tobytes() for a in arrays)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def array(self, kind: str, *shape: int) -> npt.NDArray[np.generic]:
        count = int(np.prod(shape))
        size = count * np.dtype(kind).itemsize
        if self.at + size > len(self.data):
            raise ValueError(f"it ends at byte {len(self.data)}, more is needed")
        values = np.frombuffer(self.data, kind, count, self.at).reshape(shape)
        self.at += size
        return values.astype(np.dtype(kind).newbyteorder("="))

    def network(self, known: int, count: int, first: int, second: int, own: bool) -> PassNetwork:
        shifts = self.array("u1", 4)
        mix_bias, look_bias = self.array("<i4", first), self.array("<i4", second)
        level = self.array("<i2", second)
        near = self.array("<i2", count) if own else None
        mix = self.array("i1", known, first)
        look = self.array("i1", 3, 3, first, second)
        choose = self.array("i1", second, count)
        if shifts[3] or not (shifts[:3].min() >= 1 and shifts[:3].max() <= 24):
            raise ValueError("a network's shifts are outside 1 to 24")
        # In Python's integers: in int32 the absolute value of the lowest is itself.
        if max(abs(int(bias)) for bias in (*mix_bias, *look_bias)) > MAX_BIAS:
            raise ValueError("a network's bias is out of range")
        a, b, c = (int(s) for s in shifts[:3])
        return PassNetwork((a, b, c), mix, mix_bias, look, look_bias, level, choose, near)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class EntropyModel:
    """All integers that both ends of a codec share beside the encoder. Channels are in coding order.

    Attributes:
        tile: latents on a tile's side, even.
        layers: cumulative channel counts, the last is C.
        features: of the first and the second stage of a pass network.
        order: uint8 [C], the encoder's channel at each place of the coding order.
        logarithm: uint8 [64], what contexts see of a magnitude.
        anchors: uint16 [A], levels of the offset rows, 0 to 1023.
        steps: uint16 [101, C], in sixteenths of a latent unit.
        rounding: uint8 [101], dead-zone rounding in 1/256 of a step; the encoder's choice.
        offsets: int16 [A, C], in sixteenths of a table, or NOT_SENT.
        predict: int16 [4, 4, P, P], by pass 1 to 4 of layer 0, tap, known and predicted channel, in 1/4096.
        coarse_own: int16 [2, layers[0]], weights of the neighbours in passes 1 and 2 of layer 0.
        networks: two for each layer.
        starts: uint16 [sum of counts], first slot of each token, table after table.
        counts: int64 [T], tokens of each table, 2 to 256.
    """

    tile: int
    layers: tuple[int, ...]
    features: tuple[int, int]
    order: npt.NDArray[np.uint8]
    logarithm: npt.NDArray[np.uint8]
    anchors: npt.NDArray[np.uint16]
    steps: npt.NDArray[np.uint16]
    rounding: npt.NDArray[np.uint8]
    offsets: Int16
    predict: Int16
    coarse_own: Int16
    networks: tuple[PassNetwork, ...]
    starts: npt.NDArray[np.uint16]
    counts: npt.NDArray[np.int64]

    @property
    def channels(self) -> int:
        """Number of latent channels."""
        return self.layers[-1]

    @property
    def predicted(self) -> int:
        """Number of channels whose symbols are predicted from their neighbours."""
        return int(self.predict.shape[-1])

    def span(self, layer: int) -> tuple[int, int]:
        """Return the first channel of a layer and the one after its last."""
        return (self.layers[layer - 1] if layer else 0), self.layers[layer]

    def restore_order(self, symbols: Int16) -> Int16:
        """Return symbols [..., C] in the encoder's channel order instead of the coding order."""
        out = np.empty_like(symbols)
        out[..., self.order] = symbols
        return out

    def to_bytes(self) -> bytes:
        """Return the canonical file."""
        head = _HEAD.pack(
            MAGIC,
            self.channels,
            self.tile,
            len(self.layers),
            self.predicted,
            *self.features,
            len(self.counts),
            len(self.anchors),
            bytes(3),
        )
        arrays: list[tuple[npt.ArrayLike, str]] = [
            (self.layers, "<u2"),
            (self.order, "u1"),
            (self.logarithm, "u1"),
            (self.anchors, "<u2"),
            (self.steps, "<u2"),
            (self.rounding, "u1"),
            (self.offsets, "<i2"),
            (self.predict, "<i2"),
            (self.coarse_own, "<i2"),
        ]
        body = b"".join(np.asarray(a).astype(kind).tobytes() for a, kind in arrays)
        networks = b"".join(n.to_bytes() for n in self.networks)
        tables = (self.counts - 1).astype("u1").tobytes() + self.starts.astype("<u2").tobytes()
        return head + body + networks + tables

    @classmethod
    def from_bytes(cls, data: bytes) -> EntropyModel:
        """Read and check a file; ValueError says which rule it breaks."""
        if len(data) < _HEAD.size or data[:4] != MAGIC:
            raise ValueError(f"it starts with {data[:4]!r}, expected {MAGIC!r}")
        _, channels, tile, layers, predicted, first, second, tables, anchors, zero = _HEAD.unpack_from(data)
        ranges = (
            1 <= channels <= MAX_CHANNELS
            and 2 <= tile <= 64
            and tile % 2 == 0
            and 1 <= layers <= MAX_LAYERS
            and predicted <= MAX_PREDICTED
            and 1 <= first <= MAX_FEATURES[0]
            and 1 <= second <= MAX_FEATURES[1]
            and 2 <= tables <= MAX_TABLES
            and 2 <= anchors <= MAX_ANCHORS
            and zero == bytes(3)
        )
        if not ranges:
            raise ValueError("a size in its head is out of range")
        r = _Reader(data)
        r.at = _HEAD.size
        ends = tuple(int(n) for n in r.array("<u2", layers))
        if list(ends) != sorted(set(ends)) or ends[0] < max(predicted, 1) or ends[-1] != channels:
            raise ValueError(f"its layers end at {ends}, which is no division of {channels} channels")
        order, logarithm = r.array("u1", channels), r.array("u1", LOG_SIZE)
        anchor, steps = r.array("<u2", anchors), r.array("<u2", QUALITIES, channels)
        rounding, offsets = r.array("u1", QUALITIES), r.array("<i2", anchors, channels)
        predict = r.array("<i2", 4, 4, predicted, predicted)
        coarse_own = r.array("<i2", 2, ends[0])
        networks = []
        for layer, stop in enumerate(ends):
            start = ends[layer - 1] if layer else 0
            for second_pass in (False, True):
                own = second_pass or layer == 0
                networks.append(r.network(stop if own else start, stop - start, first, second, own))
        counts = r.array("u1", tables).astype(np.int64) + 1
        starts = r.array("<u2", int(counts.sum()))
        if r.at != len(data):
            raise ValueError(f"{len(data) - r.at} bytes are left at its end")
        model = cls(
            tile,
            ends,
            (first, second),
            order,  # type: ignore[arg-type]
            logarithm,  # type: ignore[arg-type]
            anchor,  # type: ignore[arg-type]
            steps,  # type: ignore[arg-type]
            rounding,  # type: ignore[arg-type]
            offsets,  # type: ignore[arg-type]
            predict,  # type: ignore[arg-type]
            coarse_own,  # type: ignore[arg-type]
            tuple(networks),
            starts,  # type: ignore[arg-type]
            counts,
        )
        model.check()
        return model

    def check(self) -> None:
        """Raise ValueError where a value is out of range."""
        at = np.cumsum(self.counts) - self.counts
        rise = np.diff(self.starts.astype(np.int64))
        rise[at[1:] - 1] = 1  # between two tables
        weight = np.abs(self.predict.astype(np.int64)).sum(axis=(1, 2))
        rules = {
            "order is no permutation": sorted(self.order.tolist()) == list(range(self.channels)),
            "the logarithm is not 0 to 127 from 0": self.logarithm[0] == 0 and self.logarithm.max() <= 127,
            "anchors do not rise from 0 to 1023": self.anchors[0] == 0
            and self.anchors[-1] == LEVELS - 1
            and bool(np.all(np.diff(self.anchors.astype(int)) > 0)),
            "a step is below 16": self.steps.min() >= 16,
            "a rounding is above 128": self.rounding.max() <= 128,
            "a channel of layer 0 is not sent": not np.any(self.offsets[:, : self.layers[0]] == NOT_SENT),
            "prediction weights are too large": not weight.size or weight.max() <= 1 << 17,
            "a table has one token": self.counts.min() >= 2,
            "a table does not start at 0": not self.starts[at].any(),
            "a table does not rise to below 16384": bool(np.all(rise > 0)) and self.starts.max() < TOTAL,
        }
        for text, holds in rules.items():
            if not holds:
                raise ValueError(text)


def level_offsets(model: EntropyModel, level: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the offsets int64 [C] of a level, interpolated and rounded down, and which channels are sent."""
    anchors = model.anchors.astype(np.int64)
    i = min(int(np.searchsorted(anchors, level, side="right")) - 1, len(anchors) - 2)
    below, above = int(anchors[i]), int(anchors[i + 1])
    low, high = model.offsets[i].astype(np.int64), model.offsets[i + 1].astype(np.int64)
    sent = (low != NOT_SENT) | (high != NOT_SENT)
    low, high = np.where(low == NOT_SENT, high, low), np.where(high == NOT_SENT, low, high)
    return (low * (above - level) + high * (level - below)) // (above - below), sent
