"""What a camera on csrc/heliograph_camera.c needs of RAM and flash, from a codec's arrays, without a compiler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from heliograph.codec.codec import Codec
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.resize import MAX_BLOCK
from heliograph.codec.tiles import STRIDE, scaled
from heliograph.export.c_source import workspace
from heliograph.export.graph import Graph, read_graph
from heliograph.export.network import network_file

BAND = 4  # rows of pixels
MOST_SIDE = 8  # of a slice in positions, where the network lets one choose
# Of a 32-bit Cortex-M, bytes: sizeof(hg_camera_state), code under -O2 and stack. Tests hold them to linked programs.
STATE, CODE, STACK = 4528, 25_400, 2_432
# The same of what a camera links only where it is used: sizeof(hg_scaling), sizeof(hg_packets), and code.
SCALING_STATE, PACKETS_STATE = 128, 852
SCALING_CODE, PACKETS_CODE = 3_400, 3_900
_WINDOWS = {"CONV_2D": None, "MAX_POOL_2D": 2, "ADD": 0, "CONCATENATION": 0}


@dataclass(frozen=True)
class _Tensor:
    """The picture or what a layer gives, as csrc/heliograph_net.c has it: see hg_tensor there."""

    window: int
    sources: tuple[int, ...]
    joins: bool
    scale: int
    channels: int
    vector: int = 0
    whole: int = -1


@dataclass(frozen=True)
class Lines:
    """Rows of a network between and within bands.

    Attributes:
        kept: bytes for each position across the picture; halo: and in all; scratch: of a band of one tile.
    """

    kept: int
    halo: int
    scratch: int

    def bytes_at(self, width: int, pixel: int = 3) -> int:
        """Return the bytes of lines for a picture so wide, of `pixel` bytes a pixel as the camera gives it."""
        return (BAND - 1) * width * pixel + self.kept * -(-width // STRIDE) + self.halo + self.scratch


class Rows:
    """How many rows of each tensor are there as bands arrive, as csrc/heliograph_net.c has it; a test compares them.

    Args:
        graph: of an encoder that `network_file` takes.
        tile: side of its input in pixels.
    """

    def __init__(self, graph: Graph, tile: int) -> None:
        self._tile = tile
        numbers = {graph.inputs[0].index: 0}
        tensors = [_Tensor(0, (), False, 0, 3)]
        for layer in graph.layers:
            given = [t for t in layer.inputs if t is not None and not t.is_constant]
            sources = tuple(numbers[t.index] for t in given)
            weights = layer.inputs[1] if layer.kind == "CONV_2D" else None
            window = weights.shape[1] if weights is not None else _WINDOWS[layer.kind] or 0
            vector = window * window * tensors[sources[0]].channels if weights is not None else 0
            result = layer.outputs[0]
            scale = (tile // result.shape[1]).bit_length() - 1
            joins = layer.kind == "CONCATENATION"
            numbers[result.index] = len(tensors)
            tensors.append(
                _Tensor(window, sources, joins, scale, result.shape[3], vector + -vector % 4, len(tensors))
            )
        tensors[0] = replace(tensors[0], whole=0)
        read = Counter(source for t in tensors for source in t.sources)
        for number, t in enumerate(tensors):
            for source in t.sources if t.joins else ():
                # What a concatenation alone reads is computed into its rows.
                if read[source] == 1 and source and not tensors[source].joins:
                    tensors[source] = replace(tensors[source], whole=number)
        self._tensors = tensors

    def _need(self, latents: int, *, bounded: bool = True) -> list[int]:
        need = [0] * len(self._tensors)
        need[-1] = latents
        for number in range(len(self._tensors) - 1, 0, -1):
            layer = self._tensors[number]
            want = {2: 2 * need[number], 3: need[number] + 1}.get(layer.window, need[number])
            for source in layer.sources:
                side = self._tile >> self._tensors[source].scale
                need[source] = max(need[source], min(want, side) if bounded else want)
        return need

    def _there(self, need: list[int], pixels: int) -> list[int]:
        rows = [min(pixels, need[0])]
        for number, layer in enumerate(self._tensors[1:], 1):
            ready = min(rows[source] for source in layer.sources)
            if layer.window == 2:
                ready //= 2
            elif layer.window == 3 and 0 < ready < self._tile >> layer.scale:
                ready -= 1
            rows.append(min(ready, need[number]))
        return [rows[t.whole] for t in self._tensors]

    def _oldest(self, need: list[int], rows: list[int]) -> list[int]:
        oldest = list(rows)
        for number, layer in enumerate(self._tensors):
            if rows[number] == need[number]:
                continue
            first = {2: 2 * rows[number], 3: max(rows[number] - 1, 0)}.get(layer.window, rows[number])
            for source in layer.sources:
                if self._tensors[source].whole == source:
                    oldest[source] = min(oldest[source], first)
        return oldest

    def _bands(self, latents: int) -> Iterator[tuple[list[int], list[int]]]:
        """Rows that are there after each band of a tile, and the oldest that is still needed."""
        need = self._need(latents)
        for pixels in range(BAND, need[0] + BAND, BAND):
            rows = self._there(need, pixels)
            yield rows, self._oldest(need, rows)

    def lines(self) -> Lines:
        """Return what the network keeps and what a band of one tile takes."""
        kept, fresh = [0] * len(self._tensors), [0] * len(self._tensors)
        for latents in range(1, self._tile // STRIDE + 1):
            before = [0] * len(self._tensors)
            for rows, oldest in self._bands(latents):
                for number in range(len(self._tensors)):
                    kept[number] = max(kept[number], rows[number] - oldest[number])
                    fresh[number] = max(fresh[number], rows[number] - before[number])
                before = rows
        fresh[0] = BAND
        one = self._need(1, bounded=False)
        per_position = halo = scratch = 0
        for number, t in enumerate(self._tensors):
            columns = STRIDE >> t.scale
            if t.whole != number:
                continue
            per_position += kept[number] * columns * t.channels
            halo += kept[number] * (one[number] - columns) * t.channels
            scratch += -(-fresh[number] * (self._tile >> t.scale) * t.channels // 4) * 4
        return Lines(per_position, halo, scratch + 6 * max(t.vector for t in self._tensors))

    def rests(self, latents: int) -> bool:
        """Return whether nothing is kept after each so many rows of a tile's latents."""
        before = 0
        for rows, oldest in self._bands(self._tile // STRIDE):
            now = rows[-1] // latents
            if now != before and rows[0] < self._tile and rows != oldest:
                return False
            before = now
        return True

    def divides(self, latents: int) -> bool:
        """Return whether no band ends one strip of so many rows of latents and begins the next."""
        for tall in range(1, self._tile // STRIDE + 1):
            before = 0
            for rows, _ in self._bands(tall):
                if rows[-1] > before and before // latents != (rows[-1] - 1) // latents:
                    return False
                before = rows[-1]
        return True


@dataclass(frozen=True)
class Needs:
    """What a camera needs: constants of a codec, and functions of a picture's size.

    Attributes:
        side: positions on a side of a slice.
        outputs: channels of the network's output, of which a byte each is kept for a strip.
        network, entropy: bytes of the arrays in flash.
        shares: whether the network's lines and the coder's workspace take turns in one place.
    """

    side: int
    outputs: int
    layers: int
    lines: Lines
    coding: int
    shares: bool
    network: int
    entropy: int

    def memory(self, width: int, height: int, budget: int, *, pixel: int = 3, state: int = STATE) -> int:
        """Return the bytes of hg_encode_picture's memory, as HELIOGRAPH_MEMORY in codec.h."""
        columns, rows = -(-width // STRIDE), -(-height // STRIDE)
        segments = -(-columns // self.side) * -(-rows // self.side) * self.layers
        coding, lines = max(self.coding, 64 + 4 * segments), self.lines.bytes_at(width, pixel)
        work = max(coding, lines) if self.shares else coding + lines
        return state + 4 * segments + self.side * columns * self.outputs + work + budget + 48

    def ram(self, width: int, height: int, budget: int) -> int:
        """Return all RAM: memory, stack, and one row of RGB888 as the camera gives it."""
        return self.memory(width, height, budget) + STACK + 3 * width

    def scaled_ram(self, width: int, height: int, budget: int, scale: int) -> int:
        """Return all RAM for a picture that is made smaller before it is encoded: see `ram`."""
        small = scaled(width, scale), scaled(height, scale)
        scaling = SCALING_STATE + scaling_memory(width, height, scale)
        return self.memory(*small, budget) + scaling + STACK + 3 * width

    @property
    def flash(self) -> int:
        """All flash: arrays and code, without scaling and packets."""
        return self.network + self.entropy + CODE


def scaling_memory(width: int, height: int, scale: int, *, pixel: int = 3) -> int:
    """Return the bytes of hg_scaling_begin's memory, as HELIOGRAPH_SCALING in heliograph.h."""
    small, low = scaled(width, scale), scaled(height, scale)
    square = min(max(min(width // small // 3, height // low // 3), 1), MAX_BLOCK)
    taps = 6 * width // (small * square) + 3
    sums = 15 * -(-width // square) if square > 1 else 0
    return small * (77 + 2 * taps) + sums + 3 * small + (0 if pixel == 3 else 3 * width) + 4


def packets_ram(size: int) -> int:
    """Return the RAM of packets of so many bytes, beside the stream, which stays in the memory of the picture."""
    return PACKETS_STATE + size


def alone(model: EntropyModel) -> EntropyModel:
    """Return the entropy model without its contexts for references: a camera that refers to nothing leaves them out."""
    return replace(model, sets=model.sets[:1])


def side_of_slices(rows: Rows, whole: int) -> int:
    """Return the side of a slice in positions: `whole`, a tile's, or its largest divisor up to MOST_SIDE."""
    fitting = [n for n in range(1, MOST_SIDE + 1) if whole % n == 0 and rows.divides(n)]
    return whole if whole <= MOST_SIDE or not fitting else max(fitting)


def needs(codec: Codec) -> Needs:
    """Return what a camera needs for a codec.

    Raises:
        RuntimeUnavailableError: the package that reads encoders is not installed.
        ExportError: the encoder has an operation that the network in C does not have.
    """
    graph, model = read_graph(codec.encoder), alone(codec.coder.model)
    network = network_file(graph, codec.tile, codec.outputs)
    rows, whole = Rows(graph, codec.tile), codec.tile // STRIDE
    side = side_of_slices(rows, whole)
    return Needs(
        side=side,
        outputs=codec.outputs,
        layers=len(model.layers),
        lines=rows.lines(),
        coding=workspace(model, side, side),
        shares=rows.rests(side),
        network=len(network),
        entropy=len(model.to_bytes()),
    )
