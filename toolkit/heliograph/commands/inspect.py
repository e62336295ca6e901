"""Show what a .helio stream is made of: maps of its bits and channels, and what each layer adds, as text and PNG."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import chain, container, levels, registry
from heliograph.codec.pack import alone_bytes
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.codec.thin import thin
from heliograph.commands import chains
from heliograph.commands.console import Console
from heliograph.device.runtime import RUNTIMES
from heliograph.errors import OutputError, PictureError, RuntimeUnavailableError, cause
from heliograph.extras import install
from heliograph.files import write_where_told
from heliograph.pictures import load_srgb, png
from heliograph.server.decoders import open_decoder

NAME = "inspect"
HELP = "where a stream's bits went, what its layers add, which channels fire"
MAPS = ("picture", "bits", "channels", "layers", "error")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("stream", metavar="STREAM", type=Path, help="a .helio stream")
    chains.add_options(parser)
    parser.add_argument(
        "-o", "--out", type=Path, metavar="DIR", help="folder for the maps; without it only text"
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace maps that exist already")
    parser.add_argument(
        "--original", type=Path, metavar="PICTURE", help="adds the error, and PSNR of each layer"
    )
    parser.add_argument(
        "--codec", metavar="NAME_OR_DIR", help="where the codec lies, if it is not among the shipped ones"
    )
    parser.add_argument("--decoder", choices=["server", "preview"], default="preview", help="(%(default)s)")
    parser.add_argument("--runtime", choices=list(RUNTIMES), help="TFLite runtime of the preview decoder")


def run(arguments: argparse.Namespace) -> int:
    """Print the text and write the maps; return the exit code."""
    try:
        maps = importlib.import_module("heliograph.validate.maps")
        metrics = importlib.import_module("heliograph.measure.metrics")
    except Exception as error:  # a package that does not fit its numpy raises anything
        raise RuntimeUnavailableError(f"inspecting needs {cause(error)}: {install('validate')}") from error
    targets = _targets(arguments)
    codecs = registry.Registry([registry.open_codec(arguments.codec)] if arguments.codec else [])
    stream = chain.open(chains.read(arguments.stream, arguments.memory, codecs))
    codec, data, there = codecs.by_id(stream.header.codec_id), stream.data, None
    decoded = decode_stream(stream, codec)
    if stream.before:
        there = decode_stream(replace(stream.before[-1], before=stream.before[:-1]), codec).values
    decode = open_decoder(arguments.decoder, decoded.codec, runtime=arguments.runtime).decode
    shown = decode(decoded)
    original = _original(arguments.original, shown.shape) if arguments.original else None
    bits = maps.bits(data, decoded, there)
    base = decode_stream(thin(data, 1), codec) if stream.header.is_refined else None
    steps = [decode(part) for part in maps.after_layers(decoded, there if base is None else base.values)]
    steps = steps if base is None else [decode(base), *steps]
    gains = [metrics.psnr(shown if original is None else original, step) for step in steps]
    told = lines(maps, data, decoded, bits, gains, of_original=original is not None)
    values = {
        "stream": arguments.stream,
        "codec": decoded.codec.name,
        "width": decoded.width,
        "height": decoded.height,
        "quality": levels.to_quality(decoded.level),
        "reference": decoded.reference.picture_id.hex() if decoded.reference else None,
        "reference_quality": levels.to_quality(decoded.reference.level) if decoded.reference else None,
        "depth": decoded.reference.depth if decoded.reference else 0,
        "alone_bytes": alone_bytes(decoded) if decoded.reference else len(data),
        "stream_bytes": len(data),
        "overhead_bytes": bits.overhead / 8,
        "layer_bytes": [float(size) / 8 for size in bits.by_layer],
        "layer_psnr": gains,
    }
    if original is not None:
        values["psnr"] = metrics.psnr(original, shown)
        told.append(f"{'PSNR':16} {values['psnr']:.2f} dB")
    pictures: dict[str, Callable[[], npt.NDArray[np.uint8]]] = {
        "picture": lambda: shown,
        "bits": lambda: maps.bit_map(bits, *decoded.coded_size),
        "channels": lambda: maps.montage(decoded),
        "layers": lambda: maps.side_by_side(steps),
        "error": lambda: maps.error_map(original, shown),
    }
    for name, path in targets.items():
        write_where_told(path, png(pictures[name]()))
        told.append(f"{name:16} {path}")
    Console.of(arguments).result(values | {"maps": {name: str(path) for name, path in targets.items()}}, told)
    return 0


def _targets(arguments: argparse.Namespace) -> dict[str, Path]:
    """Return where each map goes; OutputError if one exists and may not be replaced."""
    if arguments.out is None:
        return {}
    names = MAPS if arguments.original else MAPS[:-1]
    targets = {name: arguments.out / f"{arguments.stream.stem}-{name}.png" for name in names}
    for path in targets.values():
        if os.path.lexists(path) and not arguments.force:
            raise OutputError(f"{path} exists already; use --force to replace it, or -o for another place")
    return targets


def _original(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    picture = load_srgb(path)
    if picture.shape != shape:
        raise PictureError(
            f"{path} is {picture.shape[1]}x{picture.shape[0]}, the stream's picture {shape[1]}x{shape[0]}; "
            "give the picture that was encoded"
        )
    return picture


def lines(
    maps: Any, data: bytes, decoded: Decoded, bits: Any, gains: list[float], *, of_original: bool
) -> list[str]:
    """Return what there is to say of a stream, a line each; `gains` is the PSNR after each layer in dB."""
    header = container.open(data).header
    out = [
        f"{'picture':16} {decoded.width}x{decoded.height}, quality {levels.to_quality(decoded.level):g}, "
        f"codec {decoded.codec.name}",
        f"{'size':16} {len(data)} bytes, {8 * len(data) / (decoded.width * decoded.height):.3f} bits per pixel, "
        f"{header.slice_count} slices",
        f"{'not symbols':16} {bits.overhead / 8:.0f} bytes: header, lengths, checksums, coder states",
    ]
    if decoded.reference:
        named = decoded.reference.picture_id.hex()
        quality = levels.to_quality(decoded.reference.level)
        out.append(
            f"{'reference':16} picture {named} of quality {quality:g}, depth {decoded.reference.depth}; without it "
            f"about {alone_bytes(decoded):.0f} bytes"
        )
    stops = decoded.codec.coder.model.layers
    firing = maps.activity(decoded)
    what = "to the original" if of_original else "to the whole stream's picture"
    sizes = bits.by_layer
    if header.base_level is not None:
        quality = levels.to_quality(header.base_level)
        out.append(
            f"{'base':16} {sizes[0] / 8:.0f} bytes, quality {quality:g}; with it {gains[0]:.2f} dB {what}"
        )
        sizes, gains = sizes[1:], gains[1:]
    for number, (stop, size, gain) in enumerate(zip(stops, sizes, gains, strict=True)):
        start = stops[number - 1] if number else 0
        active = int((firing[start:stop] > 0).sum())
        out.append(
            f"{f'layer {number + 1}':16} {size / 8:.0f} bytes, channels {start} to {stop - 1}, {active} of "
            f"{stop - start} not all zero; with it {gain:.2f} dB {what}"
        )
    per_block = bits.symbols.sum(axis=0)
    out.append(
        f"{'16x16 block':16} {np.median(per_block):.0f} bits at the median, {per_block.max():.0f} at most"
    )
    order = np.argsort(-firing, kind="stable")[:8]
    named = ", ".join(f"{n} ({firing[n]:.0%})" for n in order)
    out.append(f"{'most active':16} channels in coding order: {named} of positions")
    return out
