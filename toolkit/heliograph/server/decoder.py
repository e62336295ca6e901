"""The server's decoder: a stream's integers through the Keras network to a picture."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from heliograph.codec.codec import MOST_BYTES, SERVER, Codec
from heliograph.codec.levels import QUALITIES
from heliograph.codec.stream import Decoded
from heliograph.codec.tiles import STRIDE, Place, in_pixels, places
from heliograph.codec.values import Values
from heliograph.errors import CodecError, RuntimeUnavailableError
from heliograph.server.arrays import read_arrays
from heliograph.server.compiled import Compiled, build_at, compiles_shapes, on_gpu
from heliograph.server.enlarge import to_own_size
from heliograph.server.network import DecoderSpec, build_decoder, decoder_parameters, reach

WINDOW = 96  # latents on a side decoded at once; 1536 pixels
WIDTHS, BLOCKS = range(2, 4097), range(65)  # of a network that a manifest describes
GPU_PIXELS, CPU_PIXELS = 1 << 24, 1 << 19  # of the pictures in a batch
GPU_BATCH, CPU_BATCH = 256, 32  # the largest


def store_weights(model: keras.Model) -> bytes:
    """Return a network's weights as the bytes of an .npz file of float16 arrays."""
    buffer = io.BytesIO()
    arrays = {v.path: np.asarray(v.value).astype(np.float16) for v in model.weights}
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def load_weights(data: bytes, model: keras.Model) -> None:
    """Read what `store_weights` wrote into a network of the same shape; CodecError if it does not fit."""
    variables = {variable.path: variable for variable in model.weights}
    try:
        for path, array in read_arrays(data, {k: tuple(v.shape) for k, v in variables.items()}):
            variables[path].assign(array)
    except ValueError as error:
        raise CodecError(
            f"server decoder does not fit its manifest: {error}; copy the codec folder again"
        ) from error


def to_pixels(pictures: object) -> npt.NDArray[np.uint8]:
    """Return a decoder's output, a float tensor [..., 3] nominally in [0, 1], as uint8 of the same shape."""
    return np.asarray(np.clip(np.round(np.asarray(pictures) * 255), 0, 255), np.uint8)


def bucket(side: int) -> int:
    """Return a side in latents rounded up to one of eight sizes in each octave, at most an eighth more."""
    unit = 1 << max(0, side.bit_length() - 4)
    return -(-side // unit) * unit


def decoder_spec(codec: Codec) -> DecoderSpec:
    """Return the shape of a codec's server decoder; CodecError if the manifest has none, or one that cannot be."""
    entry = codec.manifest.get("server_decoder", {})
    widths, blocks = entry.get("widths"), entry.get("blocks")
    if not _are_counts(widths, WIDTHS) or not _are_counts(blocks, BLOCKS):
        raise CodecError(
            f"codec {codec.name} describes no server decoder: expected 4 widths of {WIDTHS[0]} to {WIDTHS[-1]} and "
            f"4 counts of blocks up to {BLOCKS[-1]}; use --decoder preview or copy it again"
        )
    spec = DecoderSpec(widths=tuple(widths), blocks=tuple(blocks))
    parameters, most = decoder_parameters(spec, codec.channels), MOST_BYTES // 2  # in float16
    if parameters > most:
        raise CodecError(
            f"the server decoder of codec {codec.name} has {parameters} parameters, its file holds at most {most}; "
            "use --decoder preview or copy it again"
        )
    return spec


def _are_counts(value: object, allowed: range) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(type(n) is int and n in allowed for n in value)


def folded(count: int, margin: int) -> npt.NDArray[np.intp]:
    """Return for each of `count` places the one of at most 2 * margin + 1 that sees the same of both ends."""
    at = np.arange(count)
    beyond = max(0, count - (2 * margin + 1))
    return np.where(at < count - margin, np.minimum(at, margin), at - beyond) if beyond else at


def _whole(decoded: Decoded) -> Place:
    rows, columns, _ = decoded.values.shape
    return slice(0, rows), slice(0, columns)


class ServerDecoder:
    """A codec's server decoder, loaded and compiled once and used for many streams.

    Args:
        padded: whether pictures are padded to one of few sizes, so that few are compiled; None: where every new
            size costs a compilation. The picture is the same, to the rounding of floats.

    Raises:
        CodecError: the codec has no server decoder, or it does not fit the manifest.
        RuntimeUnavailableError: in a forked child of a process that has made one.
    """

    file = SERVER
    _process: int | None = (
        None  # where the first was made: what Keras runs on does not live on in a forked child
    )

    def __init__(self, codec: Codec, *, padded: bool | None = None) -> None:
        if ServerDecoder._process not in (None, os.getpid()):
            raise RuntimeUnavailableError(
                "the server decoder was used before this process was forked, and its threads are not here; start "
                'children with multiprocessing.get_context("spawn"), or use --decoder preview'
            )
        ServerDecoder._process = os.getpid()
        spec = decoder_spec(codec)
        self.codec = codec
        self.is_padded = compiles_shapes() if padded is None else padded
        self.precision = "mixed_bfloat16" if on_gpu() else "float32"
        self.network = build_at(
            self.precision, lambda: build_decoder(spec, codec.channels, masked=self.is_padded)
        )
        load_weights(codec.read(SERVER), self.network)
        self._run = Compiled(self.network)
        self._margin = reach(spec)
        self._known_flat: tuple[tuple[float, ...], npt.NDArray[np.uint8]] = (), np.zeros(0, np.uint8)

    def shape(self, decoded: Decoded) -> tuple[int, int]:
        """Return (rows, columns) in latents that pictures of one batch have in common."""
        rows, columns, _ = decoded.values.shape
        if self.is_padded and max(rows, columns) <= WINDOW:
            return bucket(rows), bucket(columns)
        return rows, columns

    def batch(self, shape: tuple[int, int]) -> int:
        """Return how many pictures of a shape are decoded together at best, a power of two."""
        if max(shape) > WINDOW:
            return 1
        pixels = shape[0] * shape[1] * STRIDE**2
        most = min(GPU_PIXELS // pixels, GPU_BATCH) if on_gpu() else min(CPU_PIXELS // pixels, CPU_BATCH)
        return 1 << max(0, most.bit_length() - 1)

    def start(self, group: Sequence[Decoded]) -> Callable[[], list[npt.NDArray[np.uint8]]]:
        """Start decoding pictures of one `shape`; the result waits for them and returns them.

        One that is larger than a window is decoded at once, and must be alone.
        """
        if max(self.shape(group[0])) > WINDOW:
            (large,) = group
            picture = self._in_windows(large)
            return lambda: [to_own_size(large, picture)]
        is_flat = [not decoded.values.any() for decoded in group]
        shown = [decoded for decoded, flat in zip(group, is_flat, strict=True) if not flat]
        running = [self._launch_all(part) for part in self._parts(shown)]

        def finish() -> list[npt.NDArray[np.uint8]]:
            pictures = iter([picture for part in running for picture in np.asarray(part)])
            return [
                to_own_size(d, self._flat(d, _whole(d)) if flat else next(pictures))
                for d, flat in zip(group, is_flat, strict=True)
            ]

        return finish

    def _parts(self, group: Sequence[Decoded]) -> list[Sequence[Decoded]]:
        """Return a batch as it is run: padded to a power of two, or else in parts that are powers of two.

        Every new shape, the number of pictures included, costs a compilation with XLA, and without it memory for
        good, about a megabyte in the CPU's library of convolutions.
        """
        if self.is_padded:
            return [group] if group else []
        parts: list[Sequence[Decoded]] = []
        at = 0
        while at < len(group):
            size = 1 << ((len(group) - at).bit_length() - 1)
            parts.append(group[at : at + size])
            at += size
        return parts

    def _launch_all(self, group: Sequence[Decoded]) -> Any:
        return self._launch([d.values for d in group], [d.quality for d in group])

    def decode(self, decoded: Decoded) -> npt.NDArray[np.uint8]:
        """Return the picture of decoded integers, uint8 [height, width, 3] sRGB.

        Pictures larger than a window are decoded in windows that overlap by the network's reach, which gives what
        decoding the whole would give, in steady memory.
        """
        return self.start([decoded])()[0]

    def pixels(self, values: Values, quality: float) -> npt.NDArray[np.uint8]:
        """Run the network on values int16 [h, w, C]; return uint8 [16h, 16w, 3]."""
        rows, columns, _ = values.shape
        running = self._launch([values], [quality])
        return np.asarray(running)[0, : rows * STRIDE, : columns * STRIDE]

    def _in_windows(self, decoded: Decoded) -> npt.NDArray[np.uint8]:
        rows, columns, _ = decoded.values.shape
        width, height = decoded.coded_size
        out = np.empty((height, width, 3), np.uint8)
        for place in places(rows, columns, WINDOW):
            down, across = place
            top, left = max(0, down.start - self._margin), max(0, across.start - self._margin)
            part = decoded.values[top : down.stop + self._margin, left : across.stop + self._margin]
            if not part.any():
                target = out[in_pixels(place)]
                target[:] = self._flat(decoded, place)[: target.shape[0], : target.shape[1]]
                continue
            picture = np.asarray(self._launch([part], [decoded.quality]))[0]
            target = out[in_pixels(place)]
            y, x = (down.start - top) * STRIDE, (across.start - left) * STRIDE
            target[:] = picture[y : y + target.shape[0], x : x + target.shape[1]]
        return out

    def _flat(self, decoded: Decoded, place: Place) -> npt.NDArray[np.uint8]:
        """Return the pixels of a place around which all values are zero, without running the network on it.

        Away from the borders every latent then looks alike, and by the borders a latent looks like any other that is
        as far from them: all are in a picture as small as the network's reach allows, which is decoded once.
        """
        rows, columns, channels = decoded.values.shape
        down, across = folded(rows, self._margin)[place[0]], folded(columns, self._margin)[place[1]]
        small = tuple(min(side, 2 * self._margin + 1) for side in (rows, columns))
        key = (*small, decoded.quality)
        known, picture = self._known_flat
        if known != key:
            picture = self.pixels(np.zeros((*small, channels), np.int16), decoded.quality)
            self._known_flat = key, picture
        latents = picture.reshape(small[0], STRIDE, small[1], STRIDE, 3)[down][:, :, across]
        return latents.reshape(len(down) * STRIDE, len(across) * STRIDE, 3)

    def _launch(self, parts: Sequence[Values], qualities: list[float]) -> Any:
        """Start the network on parts [h, w, C] of one shape, each with its quality."""
        rows, columns = max(p.shape[0] for p in parts), max(p.shape[1] for p in parts)
        count = len(parts)
        if self.is_padded:
            rows, columns = bucket(rows), bucket(columns)
            count = 1 << (count - 1).bit_length()  # the last batch of a run is seldom full
        values = np.zeros((count, rows, columns, self.codec.channels), np.int16)
        extent = np.zeros((count, 2), np.int32)
        condition = np.zeros((count, 1), np.float32)
        for n, part in enumerate(parts):
            values[n, : part.shape[0], : part.shape[1]] = part
            extent[n] = part.shape[:2]
            condition[n] = qualities[n] / (QUALITIES - 1)
        return self._run(values, condition, extent)
