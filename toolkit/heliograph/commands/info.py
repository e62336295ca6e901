"""Describe a .helio stream or a codec: what it is, what made it, whether its files are as they should be."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from heliograph.codec import container, registry
from heliograph.codec.codec import MANIFEST, PREVIEW, SERVER, Codec
from heliograph.codec.description import describe
from heliograph.server.codecs import read_stream

NAME = "info"
HELP = "describe a stream or a codec"
OPTIONAL = (PREVIEW, SERVER)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "file", metavar="FILE", help="a .helio stream, a codec's folder, or a shipped codec's name"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the description; return the exit code."""
    path = Path(arguments.file)
    if path.name == MANIFEST and path.is_file():
        path = path.parent
    if path.is_dir() or (arguments.file in registry.shipped() and not path.exists()):
        lines = _codec(registry.open_codec(str(path)))
    else:
        lines = _stream(path)
    for key, value in lines:
        print(f"{key + ':':16} {value}")
    return 0


def _stream(path: Path) -> Iterator[tuple[str, str]]:
    stream = container.open(read_stream(path))
    stream.check_whole()
    told = describe(stream)
    damaged = [n for n in range(len(stream.segments)) if stream.segment(n) is None]
    yield "stream", str(path)
    yield "codec", f"{told.codec_id} ({told.codec or 'not among the shipped ones'})"
    yield "picture", f"{told.width}x{told.height}"
    yield "quality", f"{told.quality:g}"
    yield "segments", f"{len(stream.segments)} in {told.slices} slices"
    yield "size", f"{told.bytes} bytes, {told.bpp:.3f} bits per pixel"
    yield "checksum", f"segments damaged: {damaged}" if damaged else "good"


def _codec(codec: Codec) -> Iterator[tuple[str, str]]:
    # A device's copy has no server decoder; what is there must be as hashed, or `read` raises.
    here = [name for name in codec.hashes if name not in OPTIONAL or (codec.folder / name).exists()]
    sizes = {name: len(codec.read(name)) for name in here}
    yield "codec", f"{codec.name} ({codec.id.hex()})"
    yield "folder", str(codec.folder)
    yield "tile", f"{codec.tile}x{codec.tile} pixels, int8"
    yield "latents", f"{codec.channels} channels at 1/16"
    for part in ("encoder", "server_decoder", "preview_decoder"):
        described = codec.manifest.get(part, {})
        if "kmac_per_pixel" in described:
            weights = f", {described['parameters']} parameters" if "parameters" in described else ""
            yield part.replace("_", " "), f"{described['kmac_per_pixel']} kMAC per pixel{weights}"
    for name in codec.hashes:
        yield (
            "file",
            f"{name}, {sizes[name]} bytes, hash good" if name in sizes else f"{name}, not in this copy",
        )
