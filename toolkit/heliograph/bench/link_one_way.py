"""What is left of pictures when frames of a one-way link are lost: PSNR after the shipped codec's decoder."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec.codec import Codec
from heliograph.codec.rate import Rate
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.device.encoder import Encoder
from heliograph.errors import StreamError
from heliograph.link.one_way.receiver import OneWayReceiver
from heliograph.link.one_way.sender import OneWaySender
from heliograph.link.simulate.line import Faults, Noise
from heliograph.link.simulate.spool import MemorySpool
from heliograph.link.transfer.store import Store
from heliograph.measure.metrics import psnr

Picture = npt.NDArray[np.uint8]
DEVICE = "camera"


@dataclass(frozen=True)
class Loss:
    """Means over pictures and seeds at one share of lost frames.

    Attributes:
        psnr: in dB over RGB, of the mean squared errors of all pictures; a picture of which nothing can be decoded
            counts as flat grey.
        whole, nothing: share of pictures that arrived whole, of which nothing can be decoded.
    """

    lost: float
    psnr: float
    worst: float
    whole: float
    nothing: float


def what_arrives(data: bytes, lost: float, seed: int, *, repeat: int = 1) -> bytes:
    """Return the receiver's file of a stream sent one way with a share of its frames lost; empty if there is none."""
    with tempfile.TemporaryDirectory() as name:
        spool = MemorySpool({"20260101T000000.000000Z-00000000.helio": data})
        sender = OneWaySender(spool, DEVICE, repeat=repeat, rate=1e12)
        store = Store(Path(name))
        receiver = OneWayReceiver(store)
        noise, now = Noise(Faults(write_loss=lost), seed), 0.0
        while not sender.is_empty:
            receiver.receive(noise.apply(sender.send(now)), now)
            now += 0.01
        receiver.close()
        store.close()
        files = [
            p for p in Path(name, DEVICE).glob("*") if p.suffix in (".helio", ".partial") and p.name[0] != "."
        ]
        return files[0].read_bytes() if files else b""


def measure(
    codec: Codec,
    pictures: list[Picture],
    decoder: Callable[[Decoded], Picture],
    *,
    max_bytes: int,
    slice_tiles: int,
    losses: tuple[float, ...],
    seeds: int,
) -> list[Loss]:
    """Encode pictures, send each one way with frames lost, decode what arrives."""
    encoder, rate = Encoder(codec, slice_tiles=slice_tiles), Rate(max_bytes=max_bytes)
    streams = [(picture, encoder.encode(picture, rate)) for picture in pictures]
    out = []
    for lost in losses:
        errors, whole, nothing = [], 0, 0
        for n, (picture, data) in enumerate(streams):
            for seed in range(seeds if lost else 1):
                arrived = what_arrives(data, lost, 1000 * n + seed)
                whole += arrived == data
                try:
                    decoded = decoder(decode_stream(arrived, codec, partial=True))
                except StreamError:
                    nothing += 1
                    decoded = np.full_like(picture, 128)
                errors.append(10 ** (-psnr(picture, decoded) / 10))
        count = len(errors)
        mean = -10 * math.log10(sum(errors) / count)
        out.append(Loss(lost, mean, -10 * math.log10(max(errors)), whole / count, nothing / count))
    return out
