"""What a decoder would gain that also sees the picture before: a correction of decoded pictures, with and without it.

    python -m heliograph.train.experiments.past SITES [--codec NAME] [--steps N]

SITES is a folder of folders, each with a fixed camera's pictures in the order of their names. They are coded as a
camera with site memory does, each referring to the one before, and decoded. A small convolutional network learns to
correct what is shown on the first half of each sequence and is measured on the second; its twin sees the reference's
decoded picture too. What the twin is ahead is what the past is worth, and more than a decoder for other cameras finds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.codec.registry import open_codec
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import ReferencePicture
from heliograph.device.encoder import Encoder
from heliograph.errors import HeliographError
from heliograph.measure.metrics import psnr
from heliograph.measure.sites import find
from heliograph.server.decoder import ServerDecoder, to_pixels
from heliograph.server.network import DepthToSpace

Picture = npt.NDArray[np.uint8]
Crops = npt.NDArray[np.float32]
QUALITIES = (15, 40, 70)
SIZE, BATCH = 96, 12  # of crops
PLACES = 4  # pixels a side that the network sees as one position
WIDTH, DEPTH = 64, 3


@dataclass(frozen=True)
class Shown:
    """A picture uint8 [H, W, 3], what is decoded of it, and the decoded picture that its stream refers to."""

    taken: Picture
    decoded: Picture
    before: Picture


def coded(
    encoder: Encoder, decoder: ServerDecoder, pictures: Sequence[Picture], quality: float
) -> Iterator[Shown]:
    """Yield the pictures of a sequence as they are decoded, each but the first referring to the one before."""
    codec = encoder.codec
    last: tuple[ReferencePicture, Picture] | None = None
    for picture in pictures:
        height, width = picture.shape[:2]
        reference = last[0] if last else None
        packer = Packer(codec, encoder.latents(picture), width, height, reference=reference)
        packed = packer.pack(Rate(quality=quality))
        known = {reference.picture_id: reference.values} if reference else {}
        shown = decoder.decode(decode_stream(packed.data, codec, references=known))
        if last:
            yield Shown(picture, shown, last[1])
        last = packed.as_reference(), shown


def correction() -> keras.Model:
    """Return a network of two pictures float32 [B, H, W, 3] in [0, 1], sides multiples of 4, to the first corrected."""
    decoded = keras.Input((None, None, 3), name="decoded")
    before = keras.Input((None, None, 3), name="before")
    x = layers.Concatenate()([decoded, before])
    x = layers.Conv2D(2 * WIDTH, PLACES, PLACES, activation="relu")(x)
    for _ in range(DEPTH - 1):
        x = layers.Conv2D(WIDTH, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(3 * PLACES**2, 3, padding="same", kernel_initializer="zeros")(x)
    return keras.Model([decoded, before], layers.Add()([decoded, DepthToSpace(PLACES)(x)]))


def _inputs(one: Shown, past: bool) -> tuple[Picture, Picture]:
    return one.decoded, one.before if past else one.decoded


def batches(pictures: Sequence[Shown], past: bool) -> Iterator[tuple[tuple[Crops, Crops], Crops]]:
    """Yield crops for ever: what a network sees and what it should show, float32 [B, H, W, 3] in [0, 1]."""
    rng = np.random.default_rng(0)
    while True:
        rows = []
        for index in rng.integers(len(pictures), size=BATCH):
            one = pictures[index]
            y, x = (int(rng.integers(side - SIZE + 1)) for side in one.taken.shape[:2])
            rows.append([p[y : y + SIZE, x : x + SIZE] for p in (*_inputs(one, past), one.taken)])
        decoded, before, taken = np.asarray(rows, np.float32).transpose(1, 0, 2, 3, 4) / np.float32(255)
        yield (decoded, before), taken


def corrected(network: keras.Model, one: Shown, past: bool) -> Picture:
    """Return what a network makes of a picture, uint8 [H, W, 3]."""
    height, width = one.taken.shape[:2]
    beyond = ((0, -height % PLACES), (0, -width % PLACES), (0, 0))
    seen = [np.pad(p, beyond, mode="edge")[None].astype(np.float32) / 255 for p in _inputs(one, past)]
    return to_pixels(network(seen))[0, :height, :width]


def fitted(pictures: Sequence[Shown], steps: int, past: bool) -> keras.Model:
    """Return a correction that has learnt on pictures."""
    keras.utils.set_random_seed(0)
    network = correction()
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    network.compile(optimizer=keras.optimizers.Adam(rate), loss="mse")
    network.fit(batches(pictures, past), steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
    return network


def gains(
    codec: Codec, folder: Path, quality: float, steps: int
) -> Iterator[tuple[str, float, float, float]]:
    """Yield of each sequence: its name, the mean dB over RGB, and what each network adds, alone and with the past."""
    encoder, decoder = Encoder(codec), ServerDecoder(codec)
    sites = {site.name: list(coded(encoder, decoder, site.pictures(), quality)) for site in find(folder)}
    learnt = [one for shown in sites.values() for one in shown[: len(shown) // 2]]
    networks = {past: fitted(learnt, steps, past) for past in (False, True)}
    for name, shown in sites.items():
        rest = shown[len(shown) // 2 :]
        plain = float(np.mean([psnr(one.taken, one.decoded) for one in rest]))
        alone, seen = (
            float(np.mean([psnr(one.taken, corrected(networks[past], one, past)) for one in rest]))
            for past in (False, True)
        )
        yield name, plain, alone - plain, seen - plain


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each sequence and quality; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sites", type=Path, help="folder with a folder of pictures for each camera")
    parser.add_argument("--codec", default="accelerator", help="a codec's name or folder (%(default)s)")
    parser.add_argument("--steps", type=int, default=1500, help="of each network's training (%(default)s)")
    a = parser.parse_args(arguments)
    try:
        codec = open_codec(a.codec)
        print(f"{'sequence':34} quality  decoded  corrected  with the past")
        for quality in QUALITIES:
            for name, plain, alone, seen in gains(codec, a.sites, quality, a.steps):
                print(f"{name:34} {quality:7} {plain:8.2f} {alone:+10.2f} {seen:+14.2f}", flush=True)
    except HeliographError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
