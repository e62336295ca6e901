"""What a coder does with a slice of a picture: latents to symbols, symbols to segments, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from heliograph.codec.entropy_model import EntropyModel
from heliograph.errors import StreamError

Symbols = npt.NDArray[np.int16]  # [rows, columns, C], channels in coding order
MAX_SYMBOL = 256
OUT_OF_RANGE = "a size, level, rounding or count is out of range"  # as the C core says it


@dataclass(frozen=True)
class DecodedSlice:
    """Symbols int16 [rows, columns, C] in coding order, and how many residuals of each layer were read."""

    symbols: Symbols
    read: tuple[int, ...]


def corrupt(reason: str) -> StreamError:
    """Return the error for bytes that no encoder writes."""
    return StreamError(f"stream is corrupt: {reason}; fetch the file again")


class Coder(Protocol):
    """Codes slices with an entropy model, in C or in numpy, to the same bytes. Safe in several threads.

    Arguments out of range are a ValueError, bad bytes a StreamError.
    """

    model: EntropyModel

    @property
    def is_native(self) -> bool:
        """Whether the C core does the work."""

    def quantise(self, latents: npt.NDArray[np.int8], level: int, rounding: int) -> Symbols:
        """Return symbols in coding order of latents int8 [h, w, C] in the encoder's order.

        `rounding` is 0 to 128 in 1/256 of a step.
        """

    def rdoq(
        self, latents: npt.NDArray[np.int8], level: int, rounding: int, strength: int
    ) -> tuple[Symbols, list[int]]:
        """Quantise a slice's latents, rate-distortion optimised: symbols in coding order, bits of each layer.

        A symbol moves by one towards its prediction (0 in most channels) where that saves more bits than the
        error it adds is worth: `strength` bits for the square of a step. It stays within a step of its latent,
        and contexts see what was decided before. Bits are in 1/1024.
        """

    def estimate(self, symbols: Symbols, level: int) -> list[int]:
        """Return the bits of each layer, in 1/1024 bit, without coding."""

    def encode(self, symbols: Symbols, level: int, *, merged: bool) -> list[bytes]:
        """Return the segments of a slice: one for each layer, or one if `merged`; empty where all is zero."""

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
