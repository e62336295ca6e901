"""The preview decoder: the int8 .tflite decoder on a CPU, for machines without Keras or a GPU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heliograph.codec import quantise
from heliograph.codec.manifest import PREVIEW, Codec
from heliograph.codec.stream import Decoded
from heliograph.codec.tiles import STRIDE
from heliograph.codec.windows import WINDOW, decode_windows
from heliograph.device.runtime import Model
from heliograph.errors import CodecError


class PreviewDecoder:
    """A codec's int8 preview decoder on a TFLite runtime; see `device.runtime.Model` for the errors."""

    def __init__(self, codec: Codec, *, runtime: str | None = None, threads: int = 1) -> None:
        self.codec = codec
        self._model = Model(codec.read(PREVIEW), runtime=runtime, threads=threads)
        expected = (WINDOW, WINDOW, codec.channels), (WINDOW * STRIDE, WINDOW * STRIDE, 3)
        if (self._model.input_shape, self._model.output_shape) != expected:
            raise CodecError(
                f"preview decoder maps {self._model.input_shape} to {self._model.output_shape}, expected "
                f"{expected[0]} to {expected[1]}; copy the codec folder again"
            )

    @property
    def runtime(self) -> str:
        """The name of the runtime in use."""
        return self._model.runtime

    def decode(self, decoded: Decoded) -> npt.NDArray[np.uint8]:
        """Return the picture of decoded integers, uint8 [height, width, 3] sRGB."""
        latents = quantise.to_int8(decoded.values)
        return decode_windows(latents, self._model, decoded.width, decoded.height)
