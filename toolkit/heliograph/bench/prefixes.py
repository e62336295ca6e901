"""What the beginnings of streams are worth, beside streams made for as many bytes.

    python -m heliograph.bench.prefixes PICTURE... [--codec NAME] [--max-bytes N] [--decoder preview]

Of each picture two streams within one budget: with a base first, as `capture --base` makes them, and as encode does,
with layers of channels alone. Told are the bytes up to the end of each part, and the dB of what they show, then those
of a stream that was made for so many bytes. What the base costs is told at equal quality.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import container, registry
from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import HeliographError
from heliograph.measure.metrics import psnr
from heliograph.pictures import load_srgb
from heliograph.server.decoders import open_decoder

Picture = npt.NDArray[np.uint8]
Decode = Callable[[Decoded], Picture]


@dataclass(frozen=True)
class Prefix:
    """A stream up to the end of a part: its bytes and dB, and the dB of a stream that was made for so many bytes."""

    size: int
    psnr: float
    made: float


@dataclass(frozen=True)
class Measured:
    """A picture's two streams, and by how much the one with a base is larger at the other's quality."""

    based: list[Prefix]
    plain: list[Prefix]
    cost: float


def measure(encoder: Encoder, decode: Decode, picture: Picture, max_bytes: int) -> Measured:
    """Return the prefixes of a picture's streams within a budget."""
    codec, latents = encoder.codec, encoder.latents(picture)
    height, width = picture.shape[:2]
    based, plain = (Packer(codec, latents, width, height, layered=base, base=base) for base in (True, False))
    rate = Rate(max_bytes=max_bytes)
    made, first = based.pack(rate), plain.pack(rate)
    return Measured(
        list(_prefixes(codec, decode, picture, made.data, plain)),
        list(_prefixes(codec, decode, picture, first.data, plain)),
        len(based.at(first.level)) / len(first.data) - 1,
    )


def _prefixes(codec: Codec, decode: Decode, picture: Picture, data: bytes, plain: Packer) -> Iterator[Prefix]:
    stream = container.open(data)
    for end in sorted({at + length + container.CRC_BYTES for at, length in stream.segments if length}):
        shown = decode(decode_stream(data[:end], codec, partial=True))
        alone = decode(decode_stream(plain.pack(Rate(max_bytes=end)).data, codec))
        yield Prefix(end, psnr(picture, shown), psnr(picture, alone))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print two lines for each picture; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.bench.prefixes", description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--codec", default="accelerator", metavar="NAME_OR_DIR")
    parser.add_argument("--decoder", choices=["server", "preview"], default="server")
    parser.add_argument("--max-bytes", type=int, default=21_000)
    options = parser.parse_args(arguments)
    try:
        codec = registry.open_codec(options.codec)
        encoder, decode = Encoder(codec), open_decoder(options.decoder, codec).decode
        for path in options.pictures:
            found = measure(encoder, decode, load_srgb(path), options.max_bytes)
            print(f"{path.name}: a base costs {found.cost:.1%} of the bytes")
            for name, prefixes in (("with a base", found.based), ("without", found.plain)):
                row = ", ".join(f"{one.size} bytes {one.psnr:.2f} / {one.made:.2f}" for one in prefixes)
                print(f"  {name:12} {row}", flush=True)
    except HeliographError as error:
        print(f"prefixes: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
