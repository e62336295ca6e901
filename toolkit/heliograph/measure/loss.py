"""What is left of a picture when packets are lost: of ours, and of a JPEG of as many bytes sent once."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from heliograph.codec.codec import Codec
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.errors import StreamError
from heliograph.measure.baselines import jpeg_at_bytes
from heliograph.measure.metrics import psnr
from heliograph.packets.collector import Collector
from heliograph.packets.fitting import fit
from heliograph.packets.loss import Losses
from heliograph.packets.packet import carried
from heliograph.packets.packetizer import Packetizer

Picture = npt.NDArray[np.uint8]
Decode = Callable[[Decoded], Picture]
LOST = (0.0, 0.05, 0.1, 0.2, 0.4)
BURSTS = (1.0, 5.0)
BPP = 0.52  # of everything that is sent
GREY = 128  # what is shown of nothing


def packets_at(bpp: float, picture: Picture, packet_bytes: int) -> int:
    """Return how many packets a picture gets at so many bits per pixel."""
    return int(bpp * picture.shape[0] * picture.shape[1] / 8 / packet_bytes)


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


def patterns(count: int, share: float, burst: float, number: int, seeds: int) -> list[list[bool]]:
    """Return the draws for the picture of a number: which packets arrive, in each; one where nothing is lost."""
    return [arriving(count, share, burst, 1000 * number + seed) for seed in range(seeds if share else 1)]


def before_loss(arrives: Sequence[bool]) -> int:
    """Return how many packets arrive before the first that is lost."""
    return arrives.index(False) if False in arrives else len(arrives)


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
        stream: what the packets carry.
        jpeg: the JPEG of as many bytes; empty where none is as small.
        carried: bytes of pieces in a packet.
        seconds: of the processor for a packet of parity.
    """

    picture: Picture
    codec: Codec
    decode: Decode
    packets: list[bytes]
    stream: bytes
    jpeg: bytes
    carried: int
    seconds: float
    _known: dict[tuple[bool, int], float] = field(default_factory=dict)

    def show(self, arrives: Sequence[bool]) -> Picture:
        """Return what is shown with the packets that arrive."""
        return self._of_stream(self._arrived(arrives))

    def show_jpeg(self, arrives: Sequence[bool]) -> Picture:
        """Return what is shown of a JPEG sent once, up to the first packet that is lost."""
        return self._of_jpeg(self._jpeg_arrived(arrives))

    def ours(self, arrives: Sequence[bool]) -> float:
        """Return the PSNR of `show`."""
        return self._psnr(True, self._arrived(arrives), self._of_stream)

    def as_jpeg(self, arrives: Sequence[bool]) -> float:
        """Return the PSNR of `show_jpeg`."""
        return self._psnr(False, self._jpeg_arrived(arrives), self._of_jpeg)

    def _psnr(self, is_ours: bool, size: int, shown: Callable[[int], Picture]) -> float:
        if (is_ours, size) not in self._known:
            self._known[is_ours, size] = psnr(self.picture, shown(size))
        return self._known[is_ours, size]

    def _arrived(self, arrives: Sequence[bool]) -> int:
        """Return how many bytes of the stream the packets that arrive give."""
        collector = Collector()
        for packet, is_there in zip(self.packets, arrives, strict=True):
            if is_there:
                collector.take(packet)
        found = [best for name in collector.names() if (best := collector.best(name)) is not None]
        if found and not self.stream.startswith(found[0].stream):
            raise AssertionError("packets gave what is not the beginning of the stream")
        return len(found[0].stream) if found else 0

    def _jpeg_arrived(self, arrives: Sequence[bool]) -> int:
        return before_loss(arrives) * self.carried

    def _of_stream(self, size: int) -> Picture:
        try:
            return self.decode(decode_stream(self.stream[:size], self.codec, partial=True))
        except StreamError:
            return np.full_like(self.picture, GREY)

    def _of_jpeg(self, size: int) -> Picture:
        shown = cut_jpeg(self.jpeg[:size])
        return np.full_like(self.picture, GREY) if shown is None else shown


def send(
    encode: Callable[[int], bytes],
    codec: Codec,
    decode: Decode,
    picture: Picture,
    count: int,
    packet_bytes: int,
    planned: Losses,
) -> Sent:
    """Return a picture in so many packets at most.

    Args:
        encode: makes the finest stream of the picture of at most so many bytes, one that may be cut: no short form.
        decode: makes a picture of decoded integers.

    Raises:
        PacketError: as of `fit`.
        PictureError: as of `encode`.
    """
    room = carried(packet_bytes, None)
    stream, plan, each = fit(encode, codec, count, room, planned)
    made = Packetizer(stream, plan, 1, 1)
    packets = made.packets(each)
    began = time.thread_time()
    for place in range(240, 250):
        made.packet(place)
    seconds = (time.thread_time() - began) / 10
    jpeg = jpeg_at_bytes(picture, count * room)
    return Sent(picture, codec, decode, packets, stream, jpeg[0] if jpeg else b"", room, seconds)


@dataclass(frozen=True)
class Row:
    """Means over pictures: of PSNR, and of how far the tenth percentile over seeds is below it."""

    psnr: float
    below: float


def row(values: Sequence[Sequence[float]]) -> Row:
    """Return the row of PSNRs by picture and seed."""
    below = [float(np.mean(seeds) - np.percentile(seeds, 10)) for seeds in values]
    return Row(float(np.mean([np.mean(seeds) for seeds in values])), float(np.mean(below)))
