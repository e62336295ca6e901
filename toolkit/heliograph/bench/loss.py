"""What is left of pictures when packets are lost: PSNR by what is lost, one by one and in bursts, all overhead counted.

    python -m heliograph.bench.loss PICTURE... [--bpp 0.52] [--packet-bytes 51 222 256 340] [--planned 0.1]

Every picture gets so many packets that all their bytes are the budget. Told are our packets; a JPEG of as many bytes
sent once, cut at the first packet that is lost; and what no protection would give of nothing lost, with one slice and
with several.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from heliograph.codec import registry
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import HeliographError
from heliograph.measure.loss import (
    BPP,
    BURSTS,
    LOST,
    Decode,
    Picture,
    Row,
    Sent,
    packets_at,
    patterns,
    row,
    send,
)
from heliograph.measure.metrics import psnr
from heliograph.packets.loss import Losses
from heliograph.packets.packet import carried
from heliograph.pictures import load_srgb
from heliograph.server.decoders import open_decoder


def measure(sent: Sequence[Sent], share: float, burst: float, seeds: int) -> tuple[Row, Row]:
    """Return what is left at a share of lost packets: of ours, and of JPEG."""
    ours: list[list[float]] = []
    jpegs: list[list[float]] = []
    for number, one in enumerate(sent):
        drawn = patterns(len(one.packets), share, burst, number, seeds)
        ours.append([one.ours(pattern) for pattern in drawn])
        jpegs.append([one.as_jpeg(pattern) for pattern in drawn])
    return row(ours), row(jpegs)


def unprotected(
    codec: Codec, decode: Decode, pictures: Sequence[Picture], room: Sequence[int]
) -> list[float]:
    """Return the mean PSNR of all bytes in one stream, with one slice and with slices of a tile."""
    means = []
    for slice_tiles in (0, 1):
        encoder = Encoder(codec, slice_tiles=slice_tiles)
        values = [
            psnr(picture, decode(decode_stream(encoder.encode(picture, Rate(max_bytes=size)), codec)))
            for picture, size in zip(pictures, room, strict=True)
        ]
        means.append(float(np.mean(values)))
    return means


def _within(encoder: Encoder, picture: Picture) -> Callable[[int], bytes]:
    """Return what makes the finest stream of a picture of at most so many bytes."""
    return lambda most: encoder.pack(picture, Rate(max_bytes=most), whole=True).data


def show(codec: Codec, decode: Decode, pictures: Sequence[Picture], options: argparse.Namespace) -> None:
    """Print a table for each size of packets."""
    encoder, planned = Encoder(codec), Losses(options.planned, options.planned_burst)
    for size in options.packet_bytes:
        counts = [packets_at(options.bpp, picture, size) for picture in pictures]
        sent = [
            send(_within(encoder, picture), codec, decode, picture, count, size, planned)
            for picture, count in zip(pictures, counts, strict=True)
        ]
        print(
            f"packets of {size} bytes, {min(counts)} to {max(counts)} a picture, {options.bpp:g} bits per pixel, "
            f"planned for {options.planned:.0%}; streams of {np.mean([len(one.stream) for one in sent]):.0f} bytes"
        )
        whole, sliced = unprotected(
            codec, decode, pictures, [count * carried(size, None) for count in counts]
        )
        print(f"  no protection, nothing lost: {whole:.2f} dB; with slices of a tile {sliced:.2f} dB")
        print(f"  a parity packet takes {1000 * np.mean([one.seconds for one in sent]):.2f} ms")
        for burst in options.bursts:
            for share in options.lost:
                ours, jpeg = measure(sent, share, burst, options.seeds)
                print(
                    f"  {share:4.0%} lost, bursts of {burst:g}: {ours.psnr:5.2f} dB, tenth percentile "
                    f"{ours.below:4.2f} below; JPEG once {jpeg.psnr:5.2f} dB",
                    flush=True,
                )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.bench.loss", description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--codec", default="accelerator")
    parser.add_argument("--decoder", choices=["server", "preview"], default="server")
    parser.add_argument("--bpp", type=float, default=BPP)
    parser.add_argument("--packet-bytes", nargs="*", type=int, default=[51, 222, 256, 340])
    parser.add_argument("--planned", type=float, default=0.1)
    parser.add_argument("--planned-burst", type=float, default=1.0)
    parser.add_argument("--lost", nargs="*", type=float, default=list(LOST))
    parser.add_argument("--bursts", nargs="*", type=float, default=list(BURSTS))
    parser.add_argument("--seeds", type=int, default=50)
    options = parser.parse_args(arguments)
    try:
        codec = registry.open_codec(options.codec)
        decode = open_decoder(options.decoder, codec).decode
        show(codec, decode, [load_srgb(path) for path in options.pictures], options)
    except HeliographError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
