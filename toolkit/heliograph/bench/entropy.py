"""What entropy coding does with real latents: bytes against ideal static tables, speed, budgets, slices.

    python -m heliograph.bench.entropy CODEC PICTURE...

CODEC is a codec's name or folder; a PICTURE may also be a latent map int16 [h, w, C] in an .npy file. A server
decoder in the codec adds the PSNR of prefixes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heliograph.codec import container, registry
from heliograph.codec.codec import ENTROPY, SERVER, Codec, open_coder
from heliograph.codec.coder import Coder
from heliograph.codec.levels import from_quality, row_of
from heliograph.codec.numpy_coder import NumpyCoder
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.codec.tiles import STRIDE
from heliograph.codec.values import Values
from heliograph.errors import HeliographError, PictureError
from heliograph.measure import baselines, metrics
from heliograph.measure.curves import Point, bd_rate
from heliograph.measure.static_tables import ideal_bytes

if TYPE_CHECKING:
    from heliograph.server.decoder import ServerDecoder

QUALITIES = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
BUDGETS = (1, 2, 4, 8, 16, 32)  # kB of 1000 bytes
WHOLE = 1 << 30  # bytes below which layers are merged: always
_OTHERS = ("webp", "jpeg")


@dataclass(frozen=True)
class Map:
    """The latents of a picture, int16 [h, w, C], and its size in pixels."""

    name: str
    latents: Values
    width: int
    height: int


def server(codec: Codec) -> ServerDecoder | None:
    """Return the codec's server decoder, None where it has none."""
    if not (codec.folder / SERVER).is_file():
        return None
    from heliograph.server.decoder import ServerDecoder

    return ServerDecoder(codec)


def savings(
    codec: Codec,
    maps: Sequence[Map],
    pictures: Sequence[npt.NDArray[np.uint8]],
    decoder: ServerDecoder | None,
) -> None:
    """Print whole streams against ideal static tables at every tenth quality, and as a BD-rate of pictures."""
    print("quality    bpp  bytes  ideal static  saved")
    pixels = sum(m.width * m.height for m in maps)
    ours, static = [], []
    for quality in QUALITIES:
        level = from_quality(quality)
        streams = [Packer(codec, m.latents, m.width, m.height).at(level) for m in maps]
        decoded = [decode_stream(s, codec) for s in streams]
        ideal = ideal_bytes(
            [np.rint(d.values / codec.steps(d.values, level)).astype(np.int16) for d in decoded]
        )
        size = sum(map(len, streams))
        print(f"{quality:7} {8 * size / pixels:6.3f} {size:6} {ideal:13.0f} {1 - size / ideal:6.1%}")
        if decoder and pictures:
            db = float(
                np.mean([metrics.psnr(p, decoder.decode(d)) for d, p in zip(decoded, pictures, strict=True)])
            )
            ours.append(Point(8 * size / pixels, db))
            static.append(Point(8 * ideal / pixels, db))
    if ours:
        print(f"BD-rate of contexts against ideal static tables: {100 * bd_rate(static, ours)[0]:+.1f} %")


def speed(codec: Codec, maps: Sequence[Map]) -> None:
    """Print the speed of contexts and rANS together, in numpy and in C, by CPU time of one thread."""
    data = codec.read(ENTROPY)
    print("code   quality  encode Mvalue/s  MB/s  decode Mvalue/s  MB/s")
    coders: list[Coder] = [open_coder(data), NumpyCoder(data)]
    for coder in coders if coders[0].is_native else coders[1:]:
        name, count = ("C", len(maps)) if coder.is_native else ("numpy", min(2, len(maps)))
        for quality in (20, 50, 80):
            level = from_quality(quality)
            some = [m.latents for m in maps[:count]]
            began = time.thread_time()
            coded = [coder.encode(s, level, rounding=110, strength=0).segments for s in some]
            between = time.thread_time()
            for s, segments in zip(some, coded, strict=True):
                coder.decode(segments, s.shape[0], s.shape[1], level, merged=False)
            ended = time.thread_time()
            values, size = sum(s.size for s in some) / 1e6, sum(len(b) for c in coded for b in c) / 1e6
            a, b = between - began, ended - between
            rates = f"{values / a:16.1f} {size / a:5.2f} {values / b:16.1f} {size / b:5.2f}"
            print(f"{name:6} {quality:7} {rates}")


def share_of_encode(codec: Codec, pictures: Sequence[npt.NDArray[np.uint8]]) -> None:
    """Print the CPU time of the network and of entropy coding in a whole encode, and of others at the same bytes.

    One thread each; what others take to find their setting is not counted.
    """
    from heliograph.device.encoder import Encoder

    encoder = Encoder(codec)
    encoder.latents(pictures[0])  # the first run also loads
    network = coding = 0.0
    others = dict.fromkeys(_OTHERS, 0.0)
    for picture in pictures:
        began = time.process_time()
        latents = encoder.latents(picture)
        between = time.process_time()
        stream = Packer(codec, latents, picture.shape[1], picture.shape[0]).at(from_quality(50))
        network += between - began
        coding += time.process_time() - between
        for name in others:
            quality = baselines.quality_at_bytes(name, picture, len(stream))
            began = time.process_time()
            baselines.encode(name, picture, quality)
            others[name] += time.process_time() - began
    megapixels = sum(picture.shape[0] * picture.shape[1] for picture in pictures) / 1e6
    print(
        f"whole encode at quality 50, ms per megapixel: network {1e3 * network / megapixels:.1f} on {encoder.runtime}, "
        f"entropy stage {1e3 * coding / megapixels:.1f}, {coding / (network + coding):.0%} of the time"
    )
    for name, spent in others.items():
        label = f"{baselines.BASELINES[name].label} ({baselines.BASELINES[name].version})"
        print(f"{label} at the same bytes or its fewest: {1e3 * spent / megapixels:.1f}")


def budgets(codec: Codec, maps: Sequence[Map]) -> None:
    """Print what budgets of 1 to 32 kB become on six pictures."""
    print("budget  picture    bytes   used  quality  encodings  estimates")
    for budget in BUDGETS:
        for m in maps[:: max(1, len(maps) // 6)][:6]:
            try:
                result = Packer(codec, m.latents, m.width, m.height).pack(Rate(max_bytes=budget * 1000))
            except PictureError as error:
                print(f"{budget:3} kB  {m.name:9} {error}")
                continue
            size = len(result.data)
            print(
                f"{budget:3} kB  {m.name:9} {size:6} {size / budget / 1000:6.1%} {result.quality:8.3f} "
                f"{result.trials:10} {result.estimates:10}"
            )


def overheads(codec: Codec, maps: Sequence[Map]) -> None:
    """Print what layers and slices cost, in percent of the bytes of one segment."""
    coder = codec.coder
    print("quality  bytes  layers  slices of 1 tile  of 2 tiles  of 3 tiles")
    for quality in (10, 30, 50, 80):
        level = from_quality(quality)
        plain = layered = 0
        sliced = dict.fromkeys((1, 2, 3), 0)
        for m in maps:
            rounding = int(coder.model.rounding[row_of(level)])
            for merged in (True, False):
                most = WHOLE if merged else 0
                coded = coder.encode(m.latents, level, rounding=rounding, strength=0, merge_below=most)
                header = container.Header(codec.id, m.width, m.height, level, len(coded.segments))
                size = len(container.pack(header, coded.segments))
                plain, layered = (plain + size, layered) if merged else (plain, layered + size)
            for side in sliced:
                packer = Packer(codec, m.latents, m.width, m.height, slice_tiles=side, strength=0)
                sliced[side] += len(packer.at(level))
        costs = "  ".join(f"{n / plain - 1:10.2%}" for n in sliced.values())
        print(f"{quality:7} {plain:6} {layered / plain - 1:7.2%}        {costs}")


def load(codec: Codec, paths: Sequence[Path]) -> tuple[list[Map], list[npt.NDArray[np.uint8]]]:
    """Return the latents of pictures, and the pictures; of .npy files the latents alone."""
    maps, pictures, encoder = [], [], None
    for path in paths:
        if path.suffix == ".npy":
            latents = np.load(path)
            maps.append(Map(path.stem, latents, latents.shape[1] * STRIDE, latents.shape[0] * STRIDE))
            continue
        from heliograph.device.encoder import Encoder
        from heliograph.pictures import load_srgb

        encoder = encoder or Encoder(codec)
        picture = load_srgb(path)
        pictures.append(picture)
        maps.append(Map(path.stem, encoder.latents(picture), picture.shape[1], picture.shape[0]))
    return maps, pictures


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; return the exit code."""
    parser = argparse.ArgumentParser(description="Report what entropy coding does with pictures' latents.")
    parser.add_argument("codec", help="a codec's name or folder")
    parser.add_argument("pictures", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    try:
        codec = registry.open_codec(options.codec)
        maps, pictures = load(codec, options.pictures)
        decoder = server(codec) if pictures else None
        pictures = pictures if len(pictures) == len(maps) else []
        print("\nBytes")
        savings(codec, maps, pictures, decoder)
        for title, part in (
            ("Speed", speed),
            ("Budgets", budgets),
            ("Layers and slices", overheads),
        ):
            print(f"\n{title}")
            part(codec, maps)
            if part is speed and pictures:
                share_of_encode(codec, pictures)
    except HeliographError as error:
        print(f"entropy: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
