"""What every decoder of a codec does, the server's network and the int8 preview decoder alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from heliograph.codec.stream import Decoded

Picture = npt.NDArray[np.uint8]  # [H, W, 3], sRGB


class CodecDecoder(Protocol):
    """The decoder of one codec: a stream's integers to pixels, one picture or a batch of equal shape.

    Attributes:
        file: of the codec's folder, which holds its weights.
    """

    file: str

    def decode(self, decoded: Decoded) -> Picture:
        """Return the picture, uint8 [height, width, 3] sRGB."""

    def shape(self, decoded: Decoded) -> tuple[int, int]:
        """Return (rows, columns) in latents that pictures of one batch have in common."""

    def batch(self, shape: tuple[int, int]) -> int:
        """Return how many pictures of a shape are decoded together at best."""

    def start(self, group: Sequence[Decoded]) -> Callable[[], list[Picture]]:
        """Start decoding pictures of one shape; the result waits for them and returns them."""
