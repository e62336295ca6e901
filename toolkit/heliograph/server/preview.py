"""The preview decoder: the int8 .tflite decoder on a CPU, for machines without Keras or a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from heliograph.codec.codec import PREVIEW, Codec
from heliograph.codec.stream import Decoded
from heliograph.codec.tiles import STRIDE
from heliograph.codec.values import to_int8
from heliograph.codec.windows import WINDOW, decode_windows
from heliograph.device.runtime import Model
from heliograph.errors import CodecError
from heliograph.server.enlarge import to_own_size


class PreviewDecoder:
    """A codec's int8 preview decoder on a TFLite runtime; see `device.runtime.Model` for the errors."""

    file = PREVIEW

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
        pixels = decode_windows(to_int8(decoded.values), self._model, *decoded.coded_size)
        return to_own_size(decoded, pixels)

    def shape(self, decoded: Decoded) -> tuple[int, int]:
        """Return (rows, columns) of a picture in latents."""
        rows, columns, _ = decoded.values.shape
        return rows, columns

    def batch(self, shape: tuple[int, int]) -> int:
        """Return 1: windows are decoded one by one."""
        return 1

    def start(self, group: Sequence[Decoded]) -> Callable[[], list[npt.NDArray[np.uint8]]]:
        """Decode pictures now; the result returns them."""
        pictures = [self.decode(decoded) for decoded in group]
        return lambda: pictures
