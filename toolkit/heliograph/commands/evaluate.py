"""Measure rate–distortion of a codec on a folder of pictures, from real files, beside JPEG, WebP and AVIF."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heliograph.codec import manifest
from heliograph.codec.manifest import Codec
from heliograph.commands import batch
from heliograph.commands.decode import load_decoder
from heliograph.device.runtime import RUNTIMES
from heliograph.errors import RuntimeUnavailableError

NAME = "evaluate"
HELP = "rate–distortion on a folder of pictures"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--codec", default="accelerator", metavar="NAME_OR_DIR", help="codec (%(default)s)")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures to measure on")
    parser.add_argument("--decoder", choices=["server", "preview"], default="server", help="(%(default)s)")
    parser.add_argument("--qualities", type=int, nargs="+", metavar="Q", help="default: 5 15 ... 95")
    parser.add_argument(
        "--against",
        nargs="*",
        default=["jpeg", "webp", "avif"],
        choices=["jpeg", "webp", "avif"],
        help="what to compare with (all)",
    )
    parser.add_argument("--runtime", choices=list(RUNTIMES), help="TFLite runtime of the encoder")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to a file")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; return the exit code."""
    try:
        module = importlib.import_module("heliograph.validate.evaluate")
    except ImportError as error:
        raise RuntimeUnavailableError(
            f"measuring needs SciPy ({error}): pip install 'heliograph[validate]'"
        ) from error
    codec: Codec = manifest.find(arguments.codec)
    decode: Callable[..., Any] = load_decoder(arguments.decoder, codec, arguments.runtime)
    result = module.evaluate(
        codec,
        arguments.images,
        decode,
        qualities=arguments.qualities or module.QUALITIES,
        runtime=arguments.runtime,
        against=arguments.against,
    )
    for line in lines(result):
        print(line)
    if arguments.json:
        batch.store(arguments.json, (json.dumps(result, indent=1) + "\n").encode())
    return 0


def lines(result: dict[str, Any]) -> list[str]:
    """Return the figures of an evaluation as lines of text."""
    out = [f"codec {result['codec']} ({result['id']}), means over {result['pictures']} pictures"]
    for name, mean in result["curves"].items():
        out += ["", f"{name:<12} quality    bpp   PSNR  PSNR-Y  MS-SSIM  encode ms  decode ms"]
        for quality, row in mean.items():
            decode = f"{1000 * row['decode_s']:10.1f}" if "decode_s" in row else ""
            out.append(
                f"{'':<12} {quality:>7} {row['bpp']:6.3f} {row['psnr']:6.2f} {row['psnr_y']:7.2f} "
                f"{row['ms_ssim']:8.4f} {1000 * row['encode_s']:10.1f} {decode}"
            )
    if result["bd_rate_against_jpeg"]:
        out += ["", "BD-rate against JPEG (libjpeg-turbo, optimised Huffman tables, 4:2:0), PSNR over RGB"]
    for name, rate in result["bd_rate_against_jpeg"].items():
        out.append(
            f"{name:<12} {100 * rate['bd_rate']:+7.1f} %   from {rate['from_db']:.1f} to {rate['to_db']:.1f} dB"
        )
    return out
