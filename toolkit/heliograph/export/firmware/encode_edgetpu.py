"""Encode a picture with the encoder on an Edge TPU; the entropy coder runs on the CPU beside it.

    python encode_edgetpu.py PICTURE OUT.helio [--quality Q] [--delegate libedgetpu.so.1] [--cpu]

An Edge TPU rounds some latents otherwise than a CPU. Streams carry the integers themselves and decode all the same.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from heliograph.codec.codec import Codec
from heliograph.codec.pack import Packer
from heliograph.codec.rate import Rate
from heliograph.device.encoder import LatentEncoder
from heliograph.device.runtime import Model
from heliograph.errors import HeliographError
from heliograph.files import write_whole
from heliograph.pictures import load_srgb

HERE = Path(__file__).resolve().parent
COMPILED = HERE / "encoder_edgetpu.tflite"


def main() -> int:
    """Encode; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--quality", type=float, default=50)
    parser.add_argument("--delegate", default="libedgetpu.so.1")
    parser.add_argument(
        "--cpu", action="store_true", help="run the encoder that is not compiled, without the Edge TPU"
    )
    arguments = parser.parse_args()
    if not arguments.cpu and not COMPILED.is_file():
        print(
            f"error: {COMPILED.name} is missing: README.md says how to compile it, --cpu does without",
            file=sys.stderr,
        )
        return 2
    try:
        codec = Codec(HERE / "codec")
        network = Model(
            codec.encoder if arguments.cpu else COMPILED.read_bytes(),
            delegate=None if arguments.cpu else arguments.delegate,
        )
        encoder = LatentEncoder(network, tile=codec.tile, channels=codec.channels, copies=codec.copies)
        picture = load_srgb(arguments.picture)
        height, width = picture.shape[:2]
        packer = Packer(codec, encoder.latents(picture), width, height)
        data = packer.pack(Rate(quality=arguments.quality)).data
        write_whole(arguments.out, data)
    except HeliographError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.out}: {width}x{height}, {len(data)} bytes, quality {arguments.quality:g}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
