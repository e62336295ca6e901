"""The server's decoder: a stream's integers through the Keras network to a picture."""

from __future__ import annotations

import io
import zipfile

import keras
import numpy as np
import numpy.typing as npt

from heliograph.codec import rate
from heliograph.codec.manifest import SERVER, Codec
from heliograph.codec.stream import Decoded
from heliograph.codec.tiles import STRIDE
from heliograph.errors import CodecError
from heliograph.server.network import DecoderSpec, build_decoder, reach

LATENT_UNIT = 128 * rate.STEP_UNIT  # dequantised values per 1.0 at the network's input
WINDOW = 96  # latents on a side decoded at once; 1536 pixels


def store_weights(model: keras.Model) -> bytes:
    """Return a network's weights as the bytes of an .npz file of float16 arrays."""
    buffer = io.BytesIO()
    arrays = {v.path: np.asarray(v.value).astype(np.float16) for v in model.weights}
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def load_weights(data: bytes, model: keras.Model) -> None:
    """Read what `store_weights` wrote into a network of the same shape; CodecError if it does not fit."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            for variable in model.weights:
                found = stored[variable.path]
                if found.shape != tuple(variable.shape):
                    raise ValueError(f"{variable.path} is {found.shape}, expected {tuple(variable.shape)}")
                variable.assign(found.astype(np.float32))
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise CodecError(
            f"server decoder does not fit its manifest: {error}; copy the codec folder again"
        ) from error


def to_pixels(pictures: object) -> npt.NDArray[np.uint8]:
    """Return a decoder's output, a float tensor [..., 3] nominally in [0, 1], as uint8 of the same shape."""
    return np.asarray(np.clip(np.round(np.asarray(pictures) * 255), 0, 255), np.uint8)


class ServerDecoder:
    """A codec's server decoder, loaded once and used for many streams.

    Raises:
        CodecError: the codec has no server decoder, or it does not fit the manifest.
    """

    def __init__(self, codec: Codec) -> None:
        try:
            entry = codec.manifest["server_decoder"]
            spec = DecoderSpec(widths=tuple(entry["widths"]), blocks=tuple(entry["blocks"]))
        except (KeyError, TypeError) as error:
            raise CodecError(
                f"codec {codec.name} describes no server decoder ({error!r}); use --decoder preview or copy it again"
            ) from error
        self.codec = codec
        self.network = build_decoder(spec, codec.channels)
        load_weights(codec.read(SERVER), self.network)
        self._margin = reach(spec)

    def decode(self, decoded: Decoded) -> npt.NDArray[np.uint8]:
        """Return the picture of decoded integers, uint8 [height, width, 3] sRGB.

        Pictures larger than a window are decoded in windows that overlap by the network's reach, which gives what
        decoding the whole would give, in steady memory.
        """
        rows, columns, _ = decoded.symbols.shape
        out = np.empty((decoded.height, decoded.width, 3), np.uint8)
        steps = decoded.steps
        for y in range(0, rows, WINDOW):
            for x in range(0, columns, WINDOW):
                top, left = max(0, y - self._margin), max(0, x - self._margin)
                part = decoded.symbols[top : y + WINDOW + self._margin, left : x + WINDOW + self._margin]
                found = self.pixels(rate.dequantise(part, steps), decoded.quality)
                place = out[y * STRIDE : (y + WINDOW) * STRIDE, x * STRIDE : (x + WINDOW) * STRIDE]
                first, start = (y - top) * STRIDE, (x - left) * STRIDE
                place[:] = found[first : first + place.shape[0], start : start + place.shape[1]]
        return out

    def pixels(self, values: npt.NDArray[np.int32], quality: float) -> npt.NDArray[np.uint8]:
        """Run the network on dequantised values int32 [h, w, C]; return uint8 [16h, 16w, 3]."""
        latents = values[None].astype(np.float32) / np.float32(LATENT_UNIT)
        condition = np.full((1, 1), quality / (rate.QUALITIES - 1), np.float32)
        return to_pixels(np.asarray(self.network([latents, condition], training=False))[0])
