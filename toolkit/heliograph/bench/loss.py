"""What is left of pictures when packets are lost: PSNR by what is lost, one by one and in bursts, all overhead counted.

    python -m heliograph.bench.loss PICTURE... [--bpp 0.52] [--packet-bytes 51 222 256 340] [--planned 0.1]

Every picture gets so many packets that all their bytes are the budget. Told are our packets; a JPEG of as many bytes
sent once, cut at the first packet that is lost; and what no protection would give of nothing lost, with one slice and
with several.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from heliograph.codec import registry
from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import HeliographError, StreamError
from heliograph.measure.baselines import jpeg_at_bytes
from heliograph.measure.metrics import psnr
from heliograph.packets.collector import Collector
from heliograph.packets.fitting import fit
from heliograph.packets.loss import Losses
from heliograph.packets.packet import carried
from heliograph.packets.packetizer import Packetizer
from heliograph.pictures import load_srgb
from heliograph.server.decoders import open_decoder

Picture = npt.NDArray[np.uint8]
Decode = Callable[[Decoded], Picture]
LOST = (0.0, 0.05, 0.1, 0.2, 0.4)
BURSTS = (1.0, 5.0)


def arriving(count: int, share: float, burst: float, seed: int) -> list[bool]:
    """Return which of so many packets arrive: Gilbert's channel, see `packets.loss.arrivals`."""
    draw = np.random.default_rng(seed)
    ends = min(1 / burst, 1 - share)
    begins = ends * share / (1 - share)
    is_bad, out = draw.random() < share, []
    for chance in draw.random(count):
        out.append(not is_bad)
        is_bad = chance >= ends if is_bad else chance < begins
    return out


def cut_jpeg(data: bytes) -> Picture | None:
    """Return what Pillow shows of a JPEG that is cut, grey where nothing is; None without its header."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError:
        return None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


@dataclass(frozen=True)
class Sent:
    """A picture in packets of ours, and as JPEG.

    Attributes:
        quality: PSNR of what so many bytes of our stream give.
        jpeg: PSNR of what so many bytes of the JPEG give.
        carried: bytes of pieces in a packet.
        seconds: of the processor for a packet of parity.
    """

    packets: list[bytes]
    stream: bytes
    quality: Callable[[int], float]
    jpeg: Callable[[int], float]
    carried: int
    seconds: float

    def ours(self, arrives: list[bool]) -> float:
        """Return the PSNR with the packets that arrive."""
        collector = Collector()
        for packet, is_there in zip(self.packets, arrives, strict=True):
            if is_there:
                collector.take(packet)
        found = [best for name in collector.names() if (best := collector.best(name)) is not None]
        if found and not self.stream.startswith(found[0].stream):
            raise AssertionError("packets gave what is not the beginning of the stream")
        return self.quality(len(found[0].stream) if found else 0)

    def as_jpeg(self, arrives: list[bool]) -> float:
        """Return the PSNR of a JPEG sent once, up to the first packet that is lost."""
        first = arrives.index(False) if False in arrives else len(arrives)
        return self.jpeg(first * self.carried)


def send(
    encoder: Encoder, decode: Decode, picture: Picture, count: int, packet_bytes: int, planned: Losses
) -> Sent:
    """Return a picture in so many packets at most."""
    codec, room = encoder.codec, carried(packet_bytes, None)

    def within(most: int) -> bytes:
        return encoder.pack(picture, Rate(max_bytes=most), whole=True).data

    stream, plan, each = fit(within, codec, count, room, planned)
    made = Packetizer(stream, plan, 1, 1)
    packets = made.packets(each)
    began = time.thread_time()
    for place in range(240, 250):
        made.packet(place)
    seconds = (time.thread_time() - began) / 10
    grey = np.full_like(picture, 128)
    jpeg = jpeg_at_bytes(picture, count * room)
    known: dict[int, float] = {}
    jpegs: dict[int, float] = {}

    def quality(size: int) -> float:
        if size not in known:
            try:
                known[size] = psnr(picture, decode(decode_stream(stream[:size], codec, partial=True)))
            except StreamError:
                known[size] = psnr(picture, grey)
        return known[size]

    def of_jpeg(size: int) -> float:
        if size not in jpegs:
            shown = cut_jpeg(jpeg[0][:size]) if jpeg else None
            jpegs[size] = psnr(picture, grey if shown is None else shown)
        return jpegs[size]

    return Sent(packets, stream, quality, of_jpeg, room, seconds)


@dataclass(frozen=True)
class Row:
    """Means over pictures: of PSNR, and of how far the tenth percentile over seeds is below it."""

    psnr: float
    below: float


def row(values: list[list[float]]) -> Row:
    """Return the row of PSNRs by picture and seed."""
    below = [float(np.mean(seeds) - np.percentile(seeds, 10)) for seeds in values]
    return Row(float(np.mean([np.mean(seeds) for seeds in values])), float(np.mean(below)))


def measure(sent: Sequence[Sent], share: float, burst: float, seeds: int) -> tuple[Row, Row]:
    """Return what is left at a share of lost packets: of ours, and of JPEG."""
    ours: list[list[float]] = []
    jpegs: list[list[float]] = []
    for number, one in enumerate(sent):
        patterns = [
            arriving(len(one.packets), share, burst, 1000 * number + seed)
            for seed in range(seeds if share else 1)
        ]
        ours.append([one.ours(pattern) for pattern in patterns])
        jpegs.append([one.as_jpeg(pattern) for pattern in patterns])
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


def show(codec: Codec, decode: Decode, pictures: Sequence[Picture], options: argparse.Namespace) -> None:
    """Print a table for each size of packets."""
    encoder, planned = Encoder(codec), Losses(options.planned, options.planned_burst)
    for size in options.packet_bytes:
        counts = [int(options.bpp * picture.shape[0] * picture.shape[1] / 8 / size) for picture in pictures]
        sent = [
            send(encoder, decode, picture, count, size, planned)
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
    parser.add_argument("--bpp", type=float, default=0.52)
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
