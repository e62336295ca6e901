"""Small pictures and thin budgets: PSNR and SSIMULACRA2 beside AVIF, WebP and JPEG at equal bytes, and the scales.

    python -m heliograph.bench.tiny CODEC PICTURE... [--small N ...] [--whole N ...] [--scales]

CODEC is a codec's name or folder with a server decoder. The tables: pictures made as small as 256 pixels in few bytes;
the pictures as they are in fewer; and with --scales every scale beside the one that the encoder chose. Others get their
finest file that fits.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heliograph.codec import container, registry, resize
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.device.encoder import Encoder
from heliograph.errors import HeliographError
from heliograph.measure import metrics
from heliograph.measure.tiny import (
    OTHERS,
    OURS,
    SIDE,
    Picture,
    Shown,
    coded,
    finest,
    scores,
    small,
    summarise,
)
from heliograph.pictures import load_srgb
from heliograph.server.decoder import ServerDecoder

SMALL, WHOLE = (48, 100, 300, 500, 1000, 2000, 3000), (100, 150, 300, 600, 1200, 2400, 4800)
SCALES = range(9)


class Bench:
    """A codec's encoder and server decoder."""

    def __init__(self, codec_name: str) -> None:
        self.codec = registry.open_codec(codec_name)
        self.encoder, self._decoder = Encoder(self.codec), ServerDecoder(self.codec, padded=True)
        self.scales: list[int] = []
        self.seconds: list[float] = []
        self.chosen: Shown = coded(self._encode, self.codec, self._decoder.decode)

    def _encode(self, picture: Picture, budget: int) -> bytes:
        """Return the stream at the scale that the encoder chooses, and keep that and its time."""
        began = time.thread_time()
        data = self.encoder.pack(picture, Rate(max_bytes=budget)).data
        self.seconds.append(time.thread_time() - began)
        self.scales.append(container.open(data).header.scale)
        return data

    def at(self, scale: int) -> Shown:
        """Return what is shown of a picture at a scale."""

        def encode(picture: Picture, budget: int) -> bytes:
            height, width = picture.shape[:2]
            latents = self.encoder.latents(resize.at_scale(picture, scale))
            return Packer(self.codec, latents, width, height, scale=scale).pack(Rate(max_bytes=budget)).data

        return coded(encode, self.codec, self._decoder.decode)

    def encoding_seconds(self, pictures: Sequence[Picture]) -> list[float]:
        """Return the time of one encoding of each picture at its own size and quality 20."""
        out = []
        for picture in pictures:
            began = time.thread_time()
            self.encoder.pack(picture, Rate(quality=20))
            out.append(time.thread_time() - began)
        return out


def _mean_psnr(pictures: Sequence[Picture], shown: Shown, budget: int) -> str:
    """Return the mean PSNR as a table's entry, "-" where a picture does not fit."""
    found = [shown(picture, budget) for picture in pictures]
    fitting = [metrics.psnr(p, one) for p, one in zip(pictures, found, strict=True) if one is not None]
    return f"{np.mean(fitting):7.2f}" if len(fitting) == len(pictures) else f"{'-':>7}"


def table(bench: Bench, pictures: Sequence[Picture], budgets: Sequence[int], title: str) -> None:
    """Print PSNR and SSIMULACRA2 by budget, and by how much they are above those of others' files that fit."""
    print(f"\n{title}: mean PSNR in dB and SSIMULACRA2; above others, of so many pictures that fit")
    print(f"{'bytes':>7}  {'heliograph':>13}  " + "  ".join(f"{name:>18}" for name in OTHERS))
    shown = {OURS: bench.chosen, **{name: finest(name) for name in OTHERS}}
    for budget in budgets:
        found = summarise([{n: scores(p, of(p, budget)) for n, of in shown.items()} for p in pictures])
        ours, theirs = found[OURS], [found[name] for name in OTHERS]
        entries = [_both("{:6.2f} {:6.1f}", ours["psnr"], ours["ssimulacra2"])]
        for one in theirs:
            text = _both("{:+6.2f} {:+6.1f}", one["psnr_above"], one["ssimulacra2_above"])
            entries.append(f"{text} ({one['both']})")
        missing = len(pictures) - ours["fit"]
        print(
            f"{budget:7}  " + "  ".join(entries) + (f"  {missing} do not fit" if missing else ""), flush=True
        )


def _both(form: str, psnr: float | None, ssimulacra2: float | None) -> str:
    return f"{'-':>13}" if psnr is None or ssimulacra2 is None else form.format(psnr, ssimulacra2)


def scale_table(bench: Bench, pictures: Sequence[Picture], budgets: Sequence[int]) -> None:
    """Print PSNR by budget and scale, what the encoder chose, and its time by that of one encoding."""
    print("\nby scale: mean PSNR in dB; the chosen one, its scales, and the time of one encoding it took")
    names = [f"1/{(2 + (s & 1)) * 2.0 ** (s >> 1) / 2:g}" for s in SCALES]
    print(f"{'bytes':>7}  " + " ".join(f"{name:>7}" for name in names) + "   chosen")
    once = bench.encoding_seconds(pictures)
    for budget in budgets:
        entries = [_mean_psnr(pictures, bench.at(scale), budget) for scale in SCALES]
        bench.scales.clear()
        bench.seconds.clear()
        chosen = _mean_psnr(pictures, bench.chosen, budget)
        times = np.median(np.divide(bench.seconds, once[: len(bench.seconds)])) if bench.seconds else 0
        print(f"{budget:7}  " + " ".join(entries) + f"  {chosen}  {bench.scales} {times:.1f}x", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; return the exit code."""
    parser = argparse.ArgumentParser(description="Report small pictures and thin budgets.")
    parser.add_argument("codec", help="a codec's name or folder")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--small", nargs="*", type=int, default=SMALL, help="bytes of 256-pixel pictures")
    parser.add_argument("--whole", nargs="*", type=int, default=WHOLE, help="bytes of pictures as they are")
    parser.add_argument("--scales", action="store_true", help="every scale beside the chosen one")
    options = parser.parse_args(arguments)
    try:
        bench = Bench(options.codec)
        pictures = [load_srgb(path) for path in options.pictures]
        if options.small:
            table(bench, [small(p) for p in pictures], options.small, f"{SIDE} pixels")
        if options.whole and not options.scales:
            table(bench, pictures, options.whole, "as they are")
        if options.whole and options.scales:
            scale_table(bench, pictures, options.whole)
    except HeliographError as error:
        print(f"tiny: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
