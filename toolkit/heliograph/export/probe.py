"""A picture to measure with: the user's, or one with the spectrum of photographs that needs no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec.codec import Codec
from heliograph.codec.values import Values, from_units
from heliograph.device.encoder import Encoder
from heliograph.pictures import load_srgb

TILES = 2  # a side of the synthetic picture


@dataclass(frozen=True)
class Probe:
    """A picture uint8 [height, width, 3], and what a runtime of this computer gives of it.

    Attributes:
        units: int8 [rows, columns, C + copies], the network's.
        copies: which latents it computes several times, see `from_units`.
    """

    picture: npt.NDArray[np.uint8]
    units: npt.NDArray[np.int8]
    copies: Sequence[int]
    description: str
    runtime: str

    @property
    def latents(self) -> Values:
        """Latents int16 [rows, columns, C] in sixteenths."""
        return from_units(self.units, self.copies)

    @property
    def width(self) -> int:
        return int(self.picture.shape[1])

    @property
    def height(self) -> int:
        return int(self.picture.shape[0])

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def corner(self, side: int) -> Probe:
        """Return its upper left corner of at most side x side pixels, a multiple of 16."""
        if max(self.width, self.height) <= side:
            return self
        units = np.ascontiguousarray(self.units[: side // 16, : side // 16])
        described = f"a corner of {self.description}"
        return Probe(self.picture[:side, :side], units, self.copies, described, self.runtime)


def synthetic_picture(side: int) -> npt.NDArray[np.uint8]:
    """Return a random field whose amplitude falls with frequency as that of photographs does, uint8 [side, side, 3]."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :]) + 1 / side
    noise = rng.normal(size=(3, side, side)) * [
        [[1.0]],
        [[0.3]],
        [[0.3]],
    ]  # grey, and two differences of colour
    fields = np.fft.ifft2(np.fft.fft2(noise) / frequency**1.2).real
    fields *= 45 / fields[0].std()
    colours = np.array([[1, 1, 0], [1, -0.5, 0.5], [1, 0, -1]])
    mixed = 120 + np.tensordot(fields, colours, axes=(0, 1))
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def probe_latents(codec: Codec, path: Path | None) -> Probe:
    """Return a picture and its latents.

    Raises:
        PictureError: the file is no picture.
        RuntimeUnavailableError: no TFLite runtime is installed.
    """
    picture = load_srgb(path) if path is not None else synthetic_picture(TILES * codec.tile)
    encoder = Encoder(codec)
    name = path.name if path is not None else "synthetic picture"
    return Probe(picture, encoder.units(picture), codec.copies, name, encoder.runtime)
