"""What steps that grow where there is much to see are worth against even ones, at every strength.

    python -m heliograph.bench.masking CODEC PICTURE... [--strengths S ...]

CODEC is a codec's name or folder with a server decoder. Strengths are shares of the codec's own, 1; contexts and
decoder were fitted at that, so what others are worth is a little more than is shown. Bytes are those of whole files.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from heliograph.bench.entropy import Map, load
from heliograph.codec import registry
from heliograph.codec.codec import ENTROPY, Codec
from heliograph.codec.levels import from_quality
from heliograph.codec.pack import Packer
from heliograph.codec.stream import decode_stream
from heliograph.errors import HeliographError
from heliograph.measure import metrics
from heliograph.measure.curves import Point, bd_rate
from heliograph.measure.rate_distortion import Picture
from heliograph.server.decoder import ServerDecoder

QUALITIES = (5, 20, 35, 50, 65, 80, 92)
STRENGTHS = (0.5, 1.0, 1.5)
METRICS = {"SSIMULACRA2": metrics.ssimulacra2, "luminance": metrics.psnr_y, "RGB": metrics.psnr}
Curves = dict[str, list[Point]]  # by metric


def with_strength(codec: Codec, share: float, folder: Path) -> Codec:
    """Return a codec whose masking is a share as strong, as a copy in a new folder."""
    model = codec.coder.model
    strength = np.minimum(np.rint(share * model.masking.strength), 255).astype(np.uint8)
    entropy = replace(model, masking=replace(model.masking, strength=strength)).to_bytes()
    folder.mkdir(exist_ok=True)
    for name, data in codec.replaced({ENTROPY: entropy}, {}).items():
        (folder / name).write_bytes(data)
    return Codec(folder)


def curves(decoder: ServerDecoder, one: Map, picture: Picture) -> Curves:
    """Return bits per pixel and each metric of a picture at every quality."""
    packer = Packer(decoder.codec, one.latents, one.width, one.height)
    found: Curves = {name: [] for name in METRICS}
    for quality in QUALITIES:
        stream = packer.at(from_quality(quality))
        shown = decoder.decode(decode_stream(stream, decoder.codec))
        bpp = 8 * len(stream) / (one.width * one.height)
        for name, metric in METRICS.items():
            found[name].append(Point(bpp, metric(picture, shown)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each strength; return the exit code."""
    parser = argparse.ArgumentParser(description="Report what masking is worth.")
    parser.add_argument("codec", help="a codec's name or folder")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--strengths", nargs="*", type=float, default=list(STRENGTHS))
    options = parser.parse_args(arguments)
    try:
        codec = registry.open_codec(options.codec)
        maps, pictures = load(codec, options.pictures)
        both = list(zip(maps, pictures, strict=True))
        print(f"{codec.name}, {len(both)} pictures: mean of the pictures' own BD-rates against even steps")
        print("strength  " + "  ".join(f"{name:>11}" for name in METRICS), flush=True)
        with tempfile.TemporaryDirectory() as folder:

            def measured(share: float) -> list[Curves]:
                decoder = ServerDecoder(with_strength(codec, share, Path(folder) / f"{share:g}"))
                return [curves(decoder, *pair) for pair in both]

            even = measured(0.0)
            for share in options.strengths:
                pairs = list(zip(even, measured(share), strict=True))
                rates = [np.mean([bd_rate(a[name], b[name])[0] for a, b in pairs]) for name in METRICS]
                print(f"{share:8g}  " + "  ".join(f"{rate:+11.2%}" for rate in rates), flush=True)
    except HeliographError as error:
        print(f"masking: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
