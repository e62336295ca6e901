"""Codecs by the id in a stream and their decoders, each opened once, for programs that decode many streams."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from heliograph.codec import container, manifest
from heliograph.codec.manifest import Codec
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.errors import RuntimeUnavailableError, StreamError

KINDS = ("auto", "server", "preview")


class Decoder(Protocol):
    """What turns integers into pixels; the server's and the preview decoder are such."""

    def decode(self, decoded: Decoded) -> npt.NDArray[np.uint8]:
        """Return the picture, uint8 [height, width, 3] sRGB."""


def read_stream(path: Path) -> bytes:
    """Return a stream file's bytes; StreamError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise StreamError(f"cannot read {path}: {error.strerror}; check the path") from error


def open_decoder(kind: str, codec: Codec, *, runtime: str | None = None, threads: int = 1) -> Decoder:
    """Return a codec's decoder.

    Args:
        kind: "server", "preview", or "auto" for the server's where Keras and the codec's weights are here,
            and the preview decoder elsewhere.
        runtime, threads: of the preview decoder.

    Raises:
        RuntimeUnavailableError: what it needs is not installed.
        CodecError: the codec lacks it, or it does not fit the manifest.
    """
    if kind == "auto" and not (codec.folder / manifest.SERVER).exists():
        kind = "preview"
    if kind != "preview":
        try:
            made: Decoder = importlib.import_module("heliograph.server.decoder").ServerDecoder(codec)
            return made
        except ImportError as error:
            if kind == "server":
                raise RuntimeUnavailableError(
                    f"the server decoder needs Keras and a backend ({error}): pip install 'heliograph[server]', "
                    "or use --decoder preview"
                ) from error
    from heliograph.server.preview import PreviewDecoder

    return PreviewDecoder(codec, runtime=runtime, threads=threads)


class Codecs:
    """Every codec and decoder that streams ask for; safe in several threads, which run one network at a time.

    Args:
        kind, runtime, threads: see `open_decoder`.
        extra: codecs beside the shipped ones.
    """

    def __init__(
        self,
        kind: str = "auto",
        *,
        extra: Iterable[Codec] = (),
        runtime: str | None = None,
        threads: int = 1,
    ) -> None:
        self.kind, self.runtime, self.threads = kind, runtime, threads
        self._codecs = {codec.id: codec for codec in extra}
        self._decoders: dict[bytes, Decoder] = {}
        self._lock = threading.RLock()

    @property
    def known(self) -> list[Codec]:
        """The codecs given, added or met so far."""
        return list(self._codecs.values())

    def add(self, codec: Codec) -> None:
        """Know one more codec."""
        with self._lock:
            self._codecs[codec.id] = codec
            self._decoders.pop(codec.id, None)

    def symbols(self, data: bytes, *, partial: bool = False) -> Decoded:
        """Return the integers of a stream; see `decode_stream` for `partial` and the errors."""
        wanted = container.unpack(data).header.codec_id
        if wanted not in self._codecs:
            with self._lock:
                extra = next(iter(self._codecs.values()), None)
                codec = manifest.find_by_id(wanted, extra)
                codec.coder  # noqa: B018 - read here, so that threads do not all do it
                self._codecs[wanted] = codec
        return decode_stream(data, self._codecs[wanted], partial=partial)

    def decoder(self, codec: Codec) -> Decoder:
        """Return the decoder of a codec; see `open_decoder` for the errors."""
        with self._lock:
            if codec.id not in self._decoders:
                self._decoders[codec.id] = open_decoder(
                    self.kind, codec, runtime=self.runtime, threads=self.threads
                )
            return self._decoders[codec.id]

    def pixels(self, decoded: Decoded) -> npt.NDArray[np.uint8]:
        """Return the picture of integers, uint8 [height, width, 3] sRGB."""
        with self._lock:
            return self.decoder(decoded.codec).decode(decoded)
