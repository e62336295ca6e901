"""The device's side: a picture through the int8 encoder, quantisation and entropy coding to a stream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from heliograph import forks
from heliograph.codec import levels, resize, tiles
from heliograph.codec.codec import Codec
from heliograph.codec.distortion import STRENGTH
from heliograph.codec.memory import Memory
from heliograph.codec.pack import Packed, Packer
from heliograph.codec.rate import Rate
from heliograph.codec.registry import open_codec
from heliograph.codec.values import ReferencePicture, Values, from_units
from heliograph.device.runtime import Model
from heliograph.device.scaling import Scaling
from heliograph.errors import CodecError, PictureError


class TileNetwork(Protocol):
    """What computes the latents of one tile: a `Model` on a runtime, or its stand-in in training.

    Attributes:
        runtime: the name of what computes.
        input_shape, output_shape: (T, T, 3) and (T/16, T/16, C), copies of latents included.
    """

    runtime: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    def __call__(self, tile: npt.NDArray[np.int8], /) -> npt.NDArray[np.int8]:
        """Return the latents of an int8 tile of `input_shape`, int8 of `output_shape`."""


class LatentEncoder:
    """An int8 encoder network on pictures of any size: to latents, tile by tile.

    Attributes:
        runtime: the name of the runtime in use.

    Args:
        network: of one tile.
        tile: side of its input in pixels.
        channels: of its latents.
        copies: which latents it computes several times, see `codec.values.from_units`.

    Raises:
        CodecError: the network has other shapes than tile, channels and copies say.
    """

    def __init__(self, network: TileNetwork, *, tile: int, channels: int, copies: Sequence[int] = ()) -> None:
        self.tile, self.channels, self.copies, self.runtime = tile, channels, copies, network.runtime
        self._network = network
        side = tile // tiles.STRIDE
        expected = (tile, tile, 3), (side, side, channels + len(copies))
        got = network.input_shape, network.output_shape
        if got != expected:
            raise CodecError(
                f"encoder maps {got[0]} to {got[1]}, the manifest says {expected[0]} to {expected[1]}; "
                "copy the codec folder again"
            )

    def latents(self, picture: npt.NDArray[np.uint8]) -> Values:
        """Return the latents int16 [ceil(H/16), ceil(W/16), C] of a picture uint8 [H, W, 3], sRGB, in sixteenths."""
        return from_units(self.units(picture), self.copies)

    def units(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
        """Return what the network gives of a picture, int8 [ceil(H/16), ceil(W/16), C + copies]."""
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise PictureError(f"expected uint8 [H, W, 3], got {picture.dtype} {list(picture.shape)}")
        height, width = picture.shape[:2]
        tiles.check_size(width, height)
        out = np.empty((*tiles.latent_shape(width, height), self.channels + len(self.copies)), np.int8)
        for (rows, columns), tile in tiles.cut(picture, self.tile):
            # int8 = uint8 - 128: the model's input has scale 1/255 and zero point -128
            part = self._network((tile ^ 0x80).view(np.int8))
            out[rows, columns] = part[: rows.stop - rows.start, : columns.stop - columns.start]
        return out


class Encoder(LatentEncoder):
    """A codec's encoder on a runtime: pictures to streams; see `Model` for its arguments, and both for errors.

    Safe in several threads.

    Args:
        codec: see `open_codec`.
        slice_tiles: side of a slice in tiles, 0 for one slice; see `Packer`.
        layered: a segment for each layer, for streams that are shown as they arrive, or thinned; see `Packer`.
        base: whether a layered stream begins with a small base; see `Packer`.
        fast: leave out rate-distortion optimised quantisation, which saves bytes and takes time; see `Packer`.
        memory: a folder, or what is opened of it: each picture may refer to what it holds, then joins it, as if the
            other end had it by then; see `Memory`.
    """

    def __init__(
        self,
        codec: Codec | str | Path,
        *,
        slice_tiles: int = 0,
        layered: bool = False,
        base: bool = False,
        fast: bool = False,
        memory: Memory | str | Path | None = None,
        runtime: str | None = None,
        delegate: str | None = None,
        threads: int = 1,
    ) -> None:
        codec = open_codec(codec)
        network = Model(codec.encoder, runtime=runtime, delegate=delegate, threads=threads)
        super().__init__(network, tile=codec.tile, channels=codec.channels, copies=codec.copies)
        self.codec, self.slice_tiles, self.layered, self.base = codec, slice_tiles, layered, base
        self.strength = 0 if fast else STRENGTH
        self.memory = Memory(Path(memory), codec) if isinstance(memory, str | Path) else memory
        self._remembering = forks.Lock()

    def packer(self, picture: npt.NDArray[np.uint8]) -> Packer:
        """Return the latents of a picture uint8 [H, W, 3], computed now, ready to be packed at any rate."""
        return self._packers(picture, picture, (), 0)[0]

    def pack(
        self,
        picture: npt.NDArray[np.uint8],
        rate: Rate,
        candidates: Sequence[ReferencePicture] = (),
        *,
        whole: bool = False,
    ) -> Packed:
        """Return what a picture uint8 [H, W, 3] becomes, with the reference that makes it smallest, or none.

        For a quality, or a budget with `keep_scale`, all are compared by their estimated bytes at one level: the
        quality's, else the first candidate's. Any other budget is spent at the scale, and with the reference of that
        scale or none, that leave the least error.

        Args:
            candidates: pictures of its size that the other end has.
            whole: no short form, see `Packer`.

        Raises:
            PictureError: see `encode`.
        """
        height, width = picture.shape[:2]
        budget = None if rate.keep_scale else rate.budget(width, height)
        if budget is not None:
            return self._within(picture, budget, candidates, whole=whole)
        candidates = [one for one in candidates if one.scale == 0]
        alone, *others = packers = self._packers(picture, picture, candidates, 0, whole=whole)
        if not others:
            return alone.pack(rate)
        level = candidates[0].level if rate.quality is None else levels.from_quality(rate.quality)
        best = min(packers, key=lambda packer: packer.estimate(level))
        try:
            return best.pack(rate)
        except PictureError:  # a reference takes ten bytes of the header
            return alone.pack(rate)

    def _within(
        self,
        picture: npt.NDArray[np.uint8],
        budget: int,
        candidates: Sequence[ReferencePicture],
        *,
        whole: bool,
    ) -> Packed:
        """Return a picture at the scale and with the reference, or without, that cost it least for a budget."""

        def alone(small: npt.NDArray[np.uint8], scale: int) -> Packer:
            return self._packers(picture, small, (), scale, whole=whole)[0]

        scaling = Scaling(picture, budget, alone)
        best = scaling.best()
        for scale in sorted({one.scale for one in candidates}):
            alike = [one for one in candidates if one.scale == scale]
            small = resize.at_scale(picture, scale)
            for packer in self._packers(picture, small, alike, scale, whole=whole)[1:]:
                other = scaling.tried(packer, small, scale, alike[0].level)
                if other.fits and (other.error < best.error or not best.fits):
                    best = other
        return best.packer.pack(Rate(max_bytes=budget))

    def encode(self, picture: npt.NDArray[np.uint8], rate: Rate) -> bytes:
        """Return the .helio stream of a picture uint8 [H, W, 3], sRGB, after one inference.

        Raises:
            PictureError: other arrays, or not even the coarsest stream fits the budget.
            OutputError: the memory cannot be used.
        """
        if self.memory is None:
            return self.pack(picture, rate).data
        height, width = picture.shape[:2]
        with self._remembering:  # pictures come one after the other, and each may refer to those before
            packed = self.pack(picture, rate, self.memory.candidates(width, height))
            self.memory.add(packed.data, packed.as_reference())
        return packed.data

    def _packers(
        self,
        picture: npt.NDArray[np.uint8],
        small: npt.NDArray[np.uint8],
        references: Sequence[ReferencePicture],
        scale: int,
        *,
        whole: bool = False,
    ) -> list[Packer]:
        """Return a picture, made small at a scale, without a reference, and with each."""
        height, width = picture.shape[:2]
        latents = self.latents(small)
        return [
            Packer(
                self.codec,
                latents,
                width,
                height,
                slice_tiles=self.slice_tiles,
                strength=self.strength,
                layered=self.layered,
                base=self.base,
                whole=whole,
                reference=reference,
                scale=scale,
            )
            for reference in (None, *references)
        ]
