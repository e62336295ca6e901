"""A codec under examination: its encoder and decoders, the latter loaded when something must be decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec.codec import PREVIEW, SERVER, Codec
from heliograph.codec.distortion import STRENGTH
from heliograph.codec.pack import Packer
from heliograph.codec.stream import Decoded
from heliograph.device.encoder import Encoder
from heliograph.measure.environment import versions

Picture = npt.NDArray[np.uint8]
Decode = Callable[[Decoded], Picture]
FILES = {"server": SERVER, "preview": PREVIEW}
# Distributions that an encoder's and a decoder's results depend on.
_RUNTIMES = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime", "tf.lite": "tensorflow"}
_BACKENDS = ("keras", "tensorflow", "jax")


@dataclass
class Subject:
    """A codec, the encoder of a runtime, and its decoders by name.

    Attributes:
        load: returns the decoder of a name, "server" or "preview"; see `server.decoders.open_decoder`.
        decoders: the names to examine; the first stands for the codec where one must do.
    """

    codec: Codec
    load: Callable[[str], Decode]
    runtime: str | None = None
    decoders: Sequence[str] = ("server", "preview")
    encoder: Encoder = field(init=False)
    _loaded: dict[str, Decode] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.encoder = Encoder(self.codec, runtime=self.runtime)

    @property
    def main(self) -> str:
        """The name of the first decoder."""
        return self.decoders[0]

    def decode(self, decoded: Decoded, decoder: str | None = None) -> Picture:
        """Return the picture of decoded integers by a decoder, the first if none is named."""
        name = decoder or self.main
        if name not in self._loaded:
            self._loaded[name] = self.load(name)
        return self._loaded[name](decoded)

    def packer(self, picture: Picture, *, slice_tiles: int = 0) -> Packer:
        """Return a picture's latents, computed now, ready to be packed at any level."""
        latents = self.encoder.latents(picture)
        return Packer(self.codec, latents, picture.shape[1], picture.shape[0], slice_tiles=slice_tiles)

    def facts(self, decoder: str | None = None) -> dict[str, Any]:
        """Return what a measurement with a decoder depends on, for the cache."""
        name = decoder or self.main
        runtime = _RUNTIMES[self.encoder.runtime]
        return {
            "versions": versions(runtime, *(_BACKENDS if name == "server" else ())),
            "codec": self.codec.id.hex(),
            "runtime": self.encoder.runtime,
            "rdoq_strength": STRENGTH,
            "decoder": name,
            "decoder_file": self.codec.hashes.get(FILES[name]),
            "decoder_shape": self.codec.manifest.get(f"{name}_decoder"),
        }
