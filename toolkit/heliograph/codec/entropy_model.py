"""The entropy model of a codec: steps, contexts and tables in one canonical file (FORMAT.md, section 4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.codec.levels import LEAST_STEP, LEVELS, STEP_ROWS
from heliograph.codec.masking import Masking

MAGIC = b"HGE3"
LOG_SIZE = 64
MAX_LAYERS, MAX_CHANNELS, MAX_PREDICTED, MAX_GROUP, MAX_TABLES, MAX_ANCHORS = 8, 512, 32, 32, 128, 32
MAX_FEATURES = (16, 32)
MAX_BIAS = 1 << 26
PRECISION = 14
TOTAL = 1 << PRECISION
_HEAD = struct.Struct("<4sH12B")
Int16 = npt.NDArray[np.int16]
Int32 = npt.NDArray[np.int32]
Int8 = npt.NDArray[np.int8]
Uint16 = npt.NDArray[np.uint16]
Uint8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ReferenceTerms:
    """What a network of set 1 has beside one of set 0.

    Attributes:
        level: int16 [second], weights of the reference's level.
        change: int16 [columns], of the neighbours' change, or None where no neighbour of the layer is known.
        there: int16 [columns], of the reference at the position.
        gate: int8 [second, count]; gate_bias: int32 [count].
    """

    level: Int16
    change: Int16 | None
    there: Int16
    gate: Int8
    gate_bias: Int32


@dataclass(frozen=True, eq=False)
class PassNetwork:
    """The integer network of one pass. Its columns are the `count` channels of its layer, then the layer's groups.

    Attributes:
        shifts: right shifts after the three stages and the gate, 1 to 24; that of the gate is 0 where there is none.
        mix: int8 [inputs, first]; mix_bias: int32 [first].
        look: int8 [3, 3, first, second]; look_bias: int32 [second]; level: int16 [second].
        choose: int8 [second, columns]; own: int16 [columns], or None where no neighbour of the layer is known.
        reference: in set 1.
    """

    shifts: tuple[int, int, int, int]
    mix: Int8
    mix_bias: Int32
    look: Int8
    look_bias: Int32
    level: Int16
    choose: Int8
    own: Int16 | None
    reference: ReferenceTerms | None = None

    def to_bytes(self) -> bytes:
        """Return the network as stored in the file."""
        r = self.reference
        arrays: list[tuple[npt.NDArray[np.signedinteger] | None, str]] = [
            (self.mix_bias, "<i4"),
            (self.look_bias, "<i4"),
            (self.level, "<i2"),
            (r.level if r else None, "<i2"),
            (self.own, "<i2"),
            (r.change if r else None, "<i2"),
            (r.there if r else None, "<i2"),
            (r.gate_bias if r else None, "<i4"),
            (self.mix, "i1"),
            (self.look, "i1"),
            (self.choose, "i1"),
            (r.gate if r else None, "i1"),
        ]
        return bytes(self.shifts) + b"".join(a.astype(kind).tobytes() for a, kind in arrays if a is not None)


@dataclass(frozen=True, eq=False)
class ContextSet:
    """The contexts of pictures alone (set 0) or of those with a reference (set 1).

    Attributes:
        features: of the first and the second stage of a network.
        offsets: int16 [A, C + Q] of channels and groups, in sixteenths of a table.
        coarse_own: int16 [2, columns of layer 0], weights of the neighbours in passes 1 and 2 of layer 0; in set 0.
        networks: two for each layer; in set 1 one more, the first, for passes 0 to 2 of layer 0.
    """

    features: tuple[int, int]
    offsets: Int16
    coarse_own: Int16 | None
    networks: tuple[PassNetwork, ...]

    def network(self, layer: int, number: int) -> PassNetwork | None:
        """Return the network of a pass; the three coarse passes of layer 0 have none in set 0."""
        has_first = self.coarse_own is None
        if layer:
            return self.networks[2 * layer + number + has_first]
        if number < 3:
            return self.networks[0] if has_first else None
        return self.networks[number - 3 + has_first]

    def to_bytes(self) -> bytes:
        """Return the set as stored in the file."""
        coarse = b"" if self.coarse_own is None else self.coarse_own.astype("<i2").tobytes()
        return self.offsets.astype("<i2").tobytes() + coarse + b"".join(n.to_bytes() for n in self.networks)


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def array(self, kind: str, *shape: int) -> npt.NDArray[np.generic]:
        count = int(np.prod(shape))
        size = count * np.dtype(kind).itemsize
        if self.at + size > len(self.data):
            raise ValueError(f"it ends at byte {len(self.data)}, more is needed")
        values = np.frombuffer(self.data, kind, count, self.at).reshape(shape)
        self.at += size
        return values.astype(np.dtype(kind).newbyteorder("="))

    def network(
        self, known: int, count: int, groups: int, features: tuple[int, int], *, own: bool, to: int
    ) -> PassNetwork:
        """Read a network that sees `known` channels of this picture and, if any, `to` of a reference."""
        (first, second), columns = features, count + groups
        shifts = self.array("u1", 4)
        mix_bias, look_bias = self.array("<i4", first), self.array("<i4", second)
        level = self.array("<i2", second)
        from_level = self.array("<i2", second) if to else None
        near = self.array("<i2", columns) if own else None
        change = self.array("<i2", columns) if own and to else None
        there = self.array("<i2", columns) if to else None
        gate_bias = self.array("<i4", count if to else 0)
        mix = self.array("i1", 2 * known + to if to else known, first)
        look = self.array("i1", 3, 3, first, second)
        choose = self.array("i1", second, columns)
        terms = None
        if to:
            gate = self.array("i1", second, count)
            terms = ReferenceTerms(from_level, change, there, gate, gate_bias)  # type: ignore[arg-type]
        used = shifts if to else shifts[:3]
        if not (used.min() >= 1 and used.max() <= 24) or (not to and shifts[3]):
            raise ValueError("a network's shifts are outside 1 to 24")
        # In Python's integers: in int32 the absolute value of the lowest is itself.
        if max(abs(int(bias)) for bias in (*mix_bias, *look_bias, *gate_bias)) > MAX_BIAS:
            raise ValueError("a network's bias is out of range")
        a, b, c, d = (int(s) for s in shifts)
        return PassNetwork((a, b, c, d), mix, mix_bias, look, look_bias, level, choose, near, terms)  # type: ignore[arg-type]

    def context_set(
        self, layers: tuple[int, ...], group: int, anchors: int, features: tuple[int, int], number: int
    ) -> ContextSet:
        counts = np.diff((0, *layers)).tolist()
        groups = [-(-count // group) for count in counts]
        offsets = self.array("<i2", anchors, layers[-1] + sum(groups))
        coarse_own = None if number else self.array("<i2", 2, counts[0] + groups[0])
        networks = []
        for layer, (stop, count, grouped) in enumerate(zip(layers, counts, groups, strict=True)):
            seen = [stop - count if layer else stop, stop]
            if number and not layer:
                seen = [0, *seen]
            for index, known in enumerate(seen):
                own = layer == 0 or index > 0
                networks.append(
                    self.network(known, count, grouped, features, own=own, to=stop if number else 0)
                )
        return ContextSet(features, offsets, coarse_own, tuple(networks))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class EntropyModel:
    """All integers that both ends of a codec share beside the encoder. Channels are in coding order.

    Attributes:
        tile: latents on a tile's side, even.
        layers: cumulative channel counts, the last is C.
        group: channels in a group, the last of a layer may have fewer.
        order: uint16 [C], the encoder's channel at each place of the coding order.
        logarithm: uint8 [64], what contexts see of a magnitude.
        anchors: uint16 [A], levels of the offset rows, 0 to 1023.
        steps: uint16 [26, C], of quality 0, 4, ... 100, in sixteenths of a latent unit.
        rounding: uint8 [26], dead-zone rounding in 1/256 of a step; the encoder's choice.
        masking: how steps grow where there is much to see.
        predict: int16 [4, 4, P, P], by pass 1 to 4 of layer 0, tap, known and predicted channel, in 1/4096.
        sets: contexts of pictures alone and, if there are two, of pictures with a reference.
        starts: uint16 [sum of counts], first slot of each token, table after table.
        counts: int64 [T], tokens of each table, 2 to 256.
        zeros: uint16 [B], slots of flag 0 in each table of flags.
    """

    tile: int
    layers: tuple[int, ...]
    group: int
    order: Uint16
    logarithm: Uint8
    anchors: Uint16
    steps: Uint16
    rounding: Uint8
    masking: Masking
    predict: Int16
    sets: tuple[ContextSet, ...]
    starts: Uint16
    counts: npt.NDArray[np.int64]
    zeros: Uint16

    @property
    def channels(self) -> int:
        """Number of latent channels."""
        return self.layers[-1]

    @property
    def predicted(self) -> int:
        """Number of channels whose values are predicted from their neighbours."""
        return int(self.predict.shape[-1])

    def span(self, layer: int) -> tuple[int, int]:
        """Return the first channel of a layer and the one after its last."""
        return (self.layers[layer - 1] if layer else 0), self.layers[layer]

    def groups(self, layer: int) -> list[slice]:
        """Return the channels of each group of a layer."""
        start, stop = self.span(layer)
        return [slice(at, min(at + self.group, stop)) for at in range(start, stop, self.group)]

    def restore_order(self, values: Int16) -> Int16:
        """Return values [..., C] in the encoder's channel order instead of the coding order."""
        out = np.empty_like(values)
        out[..., self.order] = values
        return out

    def to_bytes(self) -> bytes:
        """Return the canonical file."""
        features = [f for s in self.sets for f in s.features] + [0, 0] * (2 - len(self.sets))
        sizes = self.tile, len(self.layers), self.predicted, self.group
        tables = len(self.counts), len(self.zeros), len(self.anchors), len(self.sets)
        head = _HEAD.pack(MAGIC, self.channels, *sizes, *tables, *features)
        arrays: list[tuple[npt.ArrayLike, str]] = [
            (self.layers, "<u2"),
            (self.order, "<u2"),
            (self.logarithm, "u1"),
            (self.anchors, "<u2"),
            (self.steps, "<u2"),
            (self.rounding, "u1"),
            (self.masking.unmasked, "u1"),
            (self.masking.ordinary, "<u2"),
            (self.masking.strength, "u1"),
            (self.predict, "<i2"),
        ]
        body = b"".join(np.asarray(a).astype(kind).tobytes() for a, kind in arrays)
        ends = (self.counts - 1).astype("u1").tobytes() + self.starts.astype("<u2").tobytes()
        return (
            head
            + body
            + b"".join(s.to_bytes() for s in self.sets)
            + ends
            + self.zeros.astype("<u2").tobytes()
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> EntropyModel:
        """Read and check a file; ValueError says which rule it breaks."""
        if len(data) < _HEAD.size or data[:4] != MAGIC:
            raise ValueError(f"it starts with {data[:4]!r}, expected {MAGIC!r}")
        _, channels, tile, layers, predicted, group, tables, flags, anchors, sets, *features = (
            _HEAD.unpack_from(data)
        )
        used, unused = features[: 2 * sets], features[2 * sets :]
        ranges = (
            1 <= channels <= MAX_CHANNELS
            and 2 <= tile <= 64
            and tile % 2 == 0
            and 1 <= layers <= MAX_LAYERS
            and predicted <= MAX_PREDICTED
            and 1 <= group <= MAX_GROUP
            and 2 <= tables <= MAX_TABLES
            and 2 <= flags <= MAX_TABLES
            and 2 <= anchors <= MAX_ANCHORS
            and 1 <= sets <= 2
            and all(1 <= f <= most for f, most in zip(used, 2 * MAX_FEATURES, strict=False))
            and not any(unused)
        )
        if not ranges:
            raise ValueError("a size in its head is out of range")
        r = _Reader(data, _HEAD.size)
        ends = tuple(int(n) for n in r.array("<u2", layers))
        if list(ends) != sorted(set(ends)) or ends[0] < max(predicted, 1) or ends[-1] != channels:
            raise ValueError(f"its layers end at {ends}, which is no division of {channels} channels")
        order, logarithm = r.array("<u2", channels), r.array("u1", LOG_SIZE)
        anchor, steps = r.array("<u2", anchors), r.array("<u2", STEP_ROWS, channels)
        rounding, unmasked = r.array("u1", STEP_ROWS), int(r.array("u1", 1)[0])
        masking = Masking(unmasked, r.array("<u2", anchors), r.array("u1", anchors))  # type: ignore[arg-type]
        predict = r.array("<i2", 4, 4, predicted, predicted)
        contexts = tuple(
            r.context_set(ends, group, anchors, (used[2 * number], used[2 * number + 1]), number)
            for number in range(sets)
        )
        counts = r.array("u1", tables).astype(np.int64) + 1
        starts, zeros = r.array("<u2", int(counts.sum())), r.array("<u2", flags)
        if r.at != len(data):
            raise ValueError(f"{len(data) - r.at} bytes are left at its end")
        values = order, logarithm, anchor, steps, rounding, masking, predict
        model = cls(tile, ends, group, *values, contexts, starts, counts, zeros)  # type: ignore[arg-type]
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
            f"a step is below {LEAST_STEP}": self.steps.min() >= LEAST_STEP,
            "a rounding is above 128": self.rounding.max() <= 128,
            "prediction weights are too large": not weight.size or weight.max() <= 1 << 17,
            "a table has one token": self.counts.min() >= 2,
            "a table does not start at 0": not self.starts[at].any(),
            "a table does not rise to below 16384": bool(np.all(rise > 0)) and self.starts.max() < TOTAL,
            "a flag's table is not 1 to 16383": self.zeros.min() >= 1 and self.zeros.max() < TOTAL,
        }
        for text, holds in rules.items():
            if not holds:
                raise ValueError(text)


def at_level(model: EntropyModel, of_anchors: npt.NDArray[np.integer], level: int) -> npt.NDArray[np.int64]:
    """Return integers [A, ...] of the anchors at a level: interpolated and rounded down, int64 [...]."""
    anchors, given = model.anchors.astype(np.int64), of_anchors.astype(np.int64)
    i = min(int(np.searchsorted(anchors, level, side="right")) - 1, len(anchors) - 2)
    below, above = int(anchors[i]), int(anchors[i + 1])
    return np.asarray((given[i] * (above - level) + given[i + 1] * (level - below)) // (above - below))
