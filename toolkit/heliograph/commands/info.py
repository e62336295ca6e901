"""Describe a .helio stream or a codec: what it is, what made it, whether its files are as they should be."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.codec import chain, registry
from heliograph.codec.codec import MANIFEST, PREVIEW, SERVER, Codec
from heliograph.codec.description import describe
from heliograph.commands import standard
from heliograph.commands.console import Console
from heliograph.errors import ExportError, RuntimeUnavailableError
from heliograph.export.needs import needs
from heliograph.server.decoders import MOST_BYTES, read_stream

NAME = "info"
HELP = "describe a stream or a codec"
OPTIONAL = (PREVIEW, SERVER)
PICTURES, BUDGET = ((96, 96), (320, 240), (640, 480)), 16_384  # of a camera whose needs are told
Described = tuple[dict[str, object], list[tuple[str, str]]]  # values for programs, and lines to read


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="a .helio stream (-: standard input), a codec's folder, or a shipped codec's name",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the description; return the exit code."""
    path = standard.path(arguments.file)
    if path.name == MANIFEST and path.is_file():
        path = path.parent
    if path.is_dir() or (arguments.file in registry.shipped() and not path.exists()):
        values, lines = _codec(registry.open_codec(str(path)))
    else:
        values, lines = _stream(path)
    Console.of(arguments).result(values, [f"{key + ':':16} {value}" for key, value in lines])
    return 0


def _stream(path: Path) -> Described:
    data = standard.read(MOST_BYTES) if standard.is_standard(path) else read_stream(path)
    stream = chain.open(data)
    stream.check_whole()
    told = describe(stream)
    damaged = [n for n in range(len(stream.segments)) if stream.segment(n) is None]
    reference = (
        f"picture {told.reference} of quality {told.reference_quality:g}, depth {told.depth}"
        if told.reference
        else ""
    )
    is_scaled = (told.coded_width, told.coded_height) != (told.width, told.height)
    coded = f", coded at {told.coded_width}x{told.coded_height}" if is_scaled else ""
    base = "" if told.base_quality is None else f", from a base of quality {told.base_quality:g}"
    values: dict[str, object] = {
        "stream": str(path),
        "codec": told.codec,
        "codec_id": told.codec_id,
        "width": told.width,
        "height": told.height,
        "coded_width": told.coded_width,
        "coded_height": told.coded_height,
        "quality": told.quality,
        "base_quality": told.base_quality,
        "layers": told.layers,
        "slices": told.slices,
        "reference": told.reference,
        "reference_quality": told.reference_quality,
        "depth": told.depth,
        "chain": told.chain,
        "stream_bytes": told.bytes,
        "bits_per_pixel": told.bpp,
        "damaged_segments": damaged,
    }
    return values, [
        ("stream", str(path)),
        ("codec", f"{told.codec_id} ({told.codec or 'not among the shipped ones'})"),
        ("picture", f"{told.width}x{told.height}{coded}"),
        ("quality", f"{told.quality:g}{base}"),
        ("segments", f"{len(stream.segments)} in {told.slices} slices"),
        *([("reference", reference)] if told.reference else []),
        ("size", f"{told.bytes} bytes, {told.bpp:.3f} bits per pixel"),
        *([("chain file", f"{told.chain} streams, {len(data)} bytes")] if stream.before else []),
        ("checksum", f"segments damaged: {damaged}" if damaged else "good"),
    ]


def _codec(codec: Codec) -> Described:
    # A device's copy has no server decoder; what is there must be as hashed, or `read` raises.
    here = [name for name in codec.hashes if name not in OPTIONAL or (codec.folder / name).exists()]
    sizes = {name: len(codec.read(name)) for name in here}
    values: dict[str, object] = {
        "codec": codec.name,
        "codec_id": codec.id.hex(),
        "folder": str(codec.folder),
        "tile": codec.tile,
        "channels": codec.channels,
        "files": {name: sizes.get(name) for name in codec.hashes},
    }
    lines = [
        ("codec", f"{codec.name} ({codec.id.hex()})"),
        ("folder", str(codec.folder)),
        ("tile", f"{codec.tile}x{codec.tile} pixels, int8"),
        ("latents", f"{codec.channels} channels at 1/16"),
    ]
    for part in ("encoder", "server_decoder", "preview_decoder"):
        described = codec.manifest.get(part, {})
        if "kmac_per_pixel" in described:
            weights = f", {described['parameters']} parameters" if "parameters" in described else ""
            values[part] = described
            lines.append((part.replace("_", " "), f"{described['kmac_per_pixel']} kMAC per pixel{weights}"))
    needed, told = _camera(codec)
    values["camera"] = needed
    lines += told
    for name in codec.hashes:
        state = f"{sizes[name]} bytes, hash good" if name in sizes else "not in this copy"
        lines.append(("file", f"{name}, {state}"))
    return values, lines


def _camera(codec: Codec) -> tuple[dict[str, object] | None, list[tuple[str, str]]]:
    """What a microcontroller needs for a codec with `export --target c`, where the encoder can be read and fits."""
    try:
        found = needs(codec)
    except (ExportError, RuntimeUnavailableError):
        return None, []
    ram = {f"{w}x{h}": found.ram(w, h, BUDGET) for w, h in PICTURES}
    text = ", ".join(f"{count} for {size}" for size, count in ram.items())
    values: dict[str, object] = {"flash_bytes": found.flash, "ram_bytes": ram, "budget": BUDGET}
    return values, [
        ("flash in C", f"{found.flash} bytes in all, with export --target c"),
        ("RAM in C", f"{text}: bytes in all, streams of up to {BUDGET}"),
    ]
