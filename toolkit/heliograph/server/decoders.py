"""Decoders by kind, and the pictures of streams of any codec, for programs that decode many of them."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph import chatter, forks
from heliograph.codec import chain, container
from heliograph.codec.codec import SERVER, Codec
from heliograph.codec.decoder import CodecDecoder
from heliograph.codec.registry import Registry, open_codec
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.errors import HeliographError, RuntimeUnavailableError, StreamError, cause
from heliograph.extras import install
from heliograph.files import read_regular
from heliograph.server.origin import told
from heliograph.server.preview import PreviewDecoder
from heliograph.server.references import References

MOST_BYTES = 1 << 30  # of a stream: eight for each pixel that a picture may have
KINDS = ("auto", "server", "preview")
ARRIVING_PIXELS = 32_000_000  # of a stream that nobody here has chosen: a few bytes can claim 134 million


def read_stream(path: Path) -> bytes:
    """Return a stream file's bytes; StreamError if it cannot be read, is no file, or longer than any stream."""
    try:
        return read_regular(path, MOST_BYTES)
    except OSError as error:
        raise StreamError(f"cannot read {path}: {error.strerror}; check the path") from error


def open_decoder(kind: str, codec: Codec, *, runtime: str | None = None, threads: int = 1) -> CodecDecoder:
    """Return a codec's decoder.

    Args:
        kind: "server", "preview", or "auto" for the server's where Keras and the codec's weights are here,
            and the preview decoder elsewhere.
        runtime, threads: of the preview decoder.

    Raises:
        RuntimeUnavailableError: what it needs is not installed.
        CodecError: the codec lacks it, or it does not fit the manifest.
    """
    if kind == "auto" and not (codec.folder / SERVER).exists():
        kind = "preview"
    if kind != "preview":
        try:
            with chatter.held():
                made: CodecDecoder = importlib.import_module("heliograph.server.decoder").ServerDecoder(codec)
            return made
        except HeliographError as error:
            if kind == "server" or not isinstance(error, RuntimeUnavailableError):
                raise
        except Exception as error:  # one that does not fit its numpy, protobuf or driver raises anything
            if kind == "server":
                raise RuntimeUnavailableError(
                    f"the server decoder needs Keras and a backend ({cause(error)}): {install('server')}, "
                    "or use --decoder preview"
                ) from error
    return PreviewDecoder(codec, runtime=runtime, threads=threads)


class Decoder:
    """Streams of any known codec to pictures, each codec's decoder opened once.

    Safe in several threads, which run one network at a time.

    Args:
        codec: one more than the shipped ones, see `open_codec`.
        kind, runtime, threads: see `open_decoder`.
        registry: the codecs that are known, if another decoder shares them.
        max_pixels: of a picture; None for all that a stream can have.
        memory: where pictures that streams refer to are looked for, beside those decoded before: a folder of streams,
            or what is known of one; None: streams that refer to others are errors.

    Raises:
        ValueError: no such kind.
        CodecError: no codec in the folder.
    """

    def __init__(
        self,
        codec: Codec | str | Path | None = None,
        kind: str = "auto",
        *,
        registry: Registry | None = None,
        runtime: str | None = None,
        threads: int = 1,
        max_pixels: int | None = None,
        memory: References | str | Path | None = None,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"decoder is {kind!r}, expected one of {', '.join(KINDS)}")
        self.kind, self.runtime, self.threads, self.max_pixels = kind, runtime, threads, max_pixels
        self.registry = Registry() if registry is None else registry
        if codec is not None:
            self.registry.add(open_codec(codec))
        if isinstance(memory, str | Path):
            memory = References(self.registry, Path(memory))
        self.references: References | None = memory
        self._decoders: dict[tuple[bytes, int], tuple[Codec, CodecDecoder]] = {}  # by codec and process
        self._lock = forks.Lock()

    def decode(self, data: bytes, *, partial: bool = False) -> npt.NDArray[np.uint8]:
        """Return the picture of a stream or of a chain file, uint8 [height, width, 3] sRGB.

        See `decode_stream` for `partial`, and it and `open_decoder` for the errors.
        """
        return self.pixels(self.values(chain.open(data), partial=partial))

    def values(
        self, stream: container.Stream, *, partial: bool = False, file: Path | str | None = None
    ) -> Decoded:
        """Return the integers of a stream; see `decode_stream` for `partial` and the errors, and `check_size`.

        Args:
            file: where it came from, so that others that refer to it find it there.
        """
        self.check_size(stream)
        codec = self.registry.by_id(stream.header.codec_id)
        if self.references is None:
            return decode_stream(stream, codec, partial=partial)
        decoded = decode_stream(stream, codec, partial=partial, references=self.references.of(stream, file))
        self.references.learn(decoded, file)
        return decoded

    def check_size(self, stream: container.Stream) -> None:
        """Raise StreamError if a stream claims more than `max_pixels`."""
        width, height = stream.header.width, stream.header.height
        if self.max_pixels is not None and width * height > self.max_pixels:
            raise StreamError(
                f"{width}x{height} is too large: {width * height / 1e6:.1f} megapixels, expected at most "
                f"{self.max_pixels / 1e6:g}; if the picture is as large as that, give more with --max-megapixels"
            )

    def of_codec(self, codec: Codec) -> CodecDecoder:
        """Return the decoder of a codec; see `open_decoder` for the errors."""
        with self._lock:
            key = codec.id, os.getpid()
            known, decoder = self._decoders.get(key, (None, None))
            if decoder is None or known is not codec:
                decoder = open_decoder(self.kind, codec, runtime=self.runtime, threads=self.threads)
                self._decoders[key] = codec, decoder
            return decoder

    def told(self, decoded: Decoded) -> dict[str, str]:
        """Return what the picture of integers says of itself; see `origin.told`."""
        return told(decoded, self.of_codec(decoded.codec))

    def pixels(self, decoded: Decoded) -> npt.NDArray[np.uint8]:
        """Return the picture of integers, uint8 [height, width, 3] sRGB."""
        with self._lock:
            return self.of_codec(decoded.codec).decode(decoded)
