"""Heliograph: learned image compression for cameras behind thin links.

    import heliograph

    data = heliograph.encode("photo.jpg", quality=30)
    picture = heliograph.decode(data)  # uint8 [H, W, 3]

Everything else is in `Encoder` and `Decoder`, which keep a codec open, `open_codec`, `info` and `Rate`. Nothing is
imported before it is used, and TensorFlow or Keras only by the server decoder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from heliograph.codec.codec import Codec
    from heliograph.codec.description import StreamInfo
    from heliograph.codec.rate import Rate
    from heliograph.codec.registry import open_codec
    from heliograph.device.encoder import Encoder
    from heliograph.errors import (
        CameraError,
        CodecError,
        ConversionError,
        ExportError,
        FolderLostError,
        HeliographError,
        LinkError,
        NotNowError,
        OutputError,
        PacketError,
        PictureError,
        RateError,
        ReferenceMissing,
        RuntimeUnavailableError,
        SpoolBoundError,
        SpoolError,
        StreamError,
        TrainingError,
    )
    from heliograph.server.decoders import Decoder

__version__ = "0.1.0"

__all__ = [
    "CameraError",
    "Codec",
    "CodecError",
    "ConversionError",
    "Decoder",
    "Encoder",
    "ExportError",
    "FolderLostError",
    "HeliographError",
    "LinkError",
    "NotNowError",
    "OutputError",
    "PacketError",
    "PictureError",
    "Rate",
    "RateError",
    "ReferenceMissing",
    "RuntimeUnavailableError",
    "SpoolBoundError",
    "SpoolError",
    "StreamError",
    "StreamInfo",
    "TrainingError",
    "__version__",
    "decode",
    "encode",
    "info",
    "open_codec",
]

_HOMES = {
    "Codec": "heliograph.codec.codec",
    "Decoder": "heliograph.server.decoders",
    "Encoder": "heliograph.device.encoder",
    "Rate": "heliograph.codec.rate",
    "StreamInfo": "heliograph.codec.description",
    "open_codec": "heliograph.codec.registry",
}


def encode(
    picture: str | Path | Image.Image | npt.NDArray[np.uint8],
    *,
    quality: float | None = None,
    max_bytes: int | str | None = None,
    bpp: float | None = None,
    keep_scale: bool = False,
    codec: Codec | str | Path = "accelerator",
) -> bytes:
    """Return the .helio stream of a picture. Safe in several threads.

    Args:
        picture: a file's path, a Pillow image, or uint8 [H, W, 3] sRGB.
        quality: 0 (smallest) to 100 (finest); 50 if no other rate is given.
        max_bytes: the finest stream of at most so many bytes instead, a number or such as "8k".
        bpp: the same in bits per pixel.
        keep_scale: code the picture at its own size whatever the budget; else it is made smaller where that is
            better, and decoders enlarge it again.
        codec: a shipped codec's name, a codec's folder, or a `Codec`.

    Raises:
        RateError: more than one rate, or one out of range.
        PictureError: no picture, too large, or it does not fit the budget.
        CodecError: no such codec.
        RuntimeUnavailableError: no TFLite runtime is installed.
    """
    import numpy as np

    from heliograph import opened
    from heliograph.codec.rate import Rate
    from heliograph.pictures import image_srgb, load_srgb

    rate = Rate(quality, max_bytes, bpp, keep_scale)
    if isinstance(picture, str | Path):
        pixels = load_srgb(Path(picture))
    elif isinstance(picture, np.ndarray):
        pixels = picture
    else:
        pixels = image_srgb(picture)
    return opened.encode(pixels, rate, codec)


def decode(
    data: bytes | str | Path,
    *,
    decoder: str = "auto",
    codec: Codec | str | Path | None = None,
    partial: bool = False,
) -> npt.NDArray[np.uint8]:
    """Return the picture of a .helio stream, uint8 [H, W, 3] sRGB. Safe in several threads.

    Args:
        data: the bytes of a stream or a chain file, or its path.
        decoder: "server" for the large network, "preview" for the small int8 one, or the better one here: "auto".
        codec: where the codec lies, if it is not among the shipped ones.
        partial: decode what is there of a cut or damaged stream.

    Raises:
        StreamError: no stream; without `partial` also a cut or damaged one.
        CodecError: the stream's codec is not here.
        RuntimeUnavailableError: what the decoder needs is not installed.
    """
    from heliograph import opened

    return opened.decoder(decoder, codec).decode(_stream_bytes(data), partial=partial)


def info(data: bytes | str | Path) -> StreamInfo:
    """Return what a .helio stream says of itself, without decoding it; StreamError if it is none.

    Args:
        data: the stream's bytes, or its file's path.
    """
    from heliograph.codec import chain
    from heliograph.codec.description import describe

    return describe(chain.open(_stream_bytes(data)))


def _stream_bytes(data: bytes | str | Path) -> bytes:
    if isinstance(data, str | Path):
        from heliograph.server.decoders import read_stream

        return read_stream(Path(data))
    return bytes(data)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'heliograph' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES.get(name, "heliograph.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
