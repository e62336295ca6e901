"""Decode .helio streams to PNG or JPEG pictures, by the server's network or the small int8 preview decoder."""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.codec import registry, tiles
from heliograph.commands import batch, standard
from heliograph.commands.console import Console
from heliograph.commands.inputs import STREAMS, SUFFIX, Inputs, listed
from heliograph.commands.packets import Joined, add_key_option, has_packets, packet_key
from heliograph.commands.quantities import megapixels
from heliograph.device.runtime import RUNTIMES
from heliograph.errors import OutputError, PacketError, StreamError
from heliograph.files import write_where_told
from heliograph.pictures import SUFFIXES, jpg, png
from heliograph.server.chains import decode_chains
from heliograph.server.decoders import ARRIVING_PIXELS, KINDS, MOST_BYTES, Decoder, read_stream
from heliograph.server.pipeline import Outcome, Pipeline
from heliograph.server.references import References

NAME = "decode"
HELP = ".helio streams to pictures, on the host"
JPEG, JPEG_QUALITY = {".jpg", ".jpeg"}, 95
WORDS = ("decoded", "pictures", "decodes")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "streams",
        metavar="STREAM",
        nargs="*",
        help=".helio streams, or folders of them: there, pictures that exist already are left out; or packets: "
        "those that are there give the best picture of each that they are of; -: standard input",
    )
    parser.add_argument(
        "--list", metavar="FILE", help="streams are named in the lines of FILE, or of standard input: -"
    )
    batch.add_output_options(parser, ".png")
    parser.add_argument(
        "--jpeg",
        nargs="?",
        type=int,
        choices=range(1, 101),
        const=JPEG_QUALITY,
        metavar="Q",
        help=f"JPEG files of quality Q instead of PNG ({JPEG_QUALITY}); for a single picture -o NAME.jpg does it too",
    )
    add_decoder_options(parser)
    add_key_option(parser)
    parser.add_argument(
        "--partial",
        action="store_true",
        help="decode what is there of a cut or damaged stream, and say what was missing",
    )
    parser.add_argument(
        "--memory",
        type=Path,
        metavar="DIR",
        help="where pictures lie, beside the streams given, that streams refer to: a memory, or any folder of streams",
    )
    parser.add_argument(
        "--threads",
        type=int,
        choices=range(1, 257),
        metavar="N",
        help="threads that decode values, and as many that write; default: one for each CPU core",
    )
    parser.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="ray: on the cluster that RAY_ADDRESS names, streams and OUT being any URLs of fsspec (%(default)s)",
    )
    parser.add_argument(
        "--actors",
        type=int,
        choices=range(1, 10_001),
        default=2,
        metavar="N",
        help="with --engine ray: processes with a decoder each (%(default)s)",
    )
    parser.add_argument(
        "--gpus",
        type=float,
        default=0,
        metavar="N",
        help="with --engine ray: GPUs of each actor (%(default)s)",
    )


def add_decoder_options(parser: argparse.ArgumentParser, kinds: Sequence[str] = KINDS[1:]) -> None:
    """Add the options that choose a decoder, by default the first of `kinds`."""
    parser.add_argument(
        "--codec", metavar="NAME_OR_DIR", help="where the codec lies, if it is not among the shipped ones"
    )
    parser.add_argument(
        "--decoder",
        choices=kinds,
        default=kinds[0],
        help="server: the large network, needs Keras; preview: int8 on a TFLite runtime"
        + ("; auto: server where Keras is installed" if "auto" in kinds else "")
        + " (%(default)s)",
    )
    parser.add_argument("--runtime", choices=list(RUNTIMES), help="TFLite runtime of the preview decoder")
    parser.add_argument(
        "--max-megapixels",
        type=megapixels,
        metavar="N",
        help="leave larger pictures undecoded: a stream of a few bytes can claim "
        f"{tiles.MAX_PIXELS / 1e6:.0f} ({ARRIVING_PIXELS / 1e6:g}; streams named one by one may be any size)",
    )


def make_decoder(arguments: argparse.Namespace, *, are_chosen: bool = False) -> Decoder:
    """Return the decoder that was asked for; CodecError. Streams that somebody chose one by one may be any size."""
    threads = os.cpu_count() or 1
    limit = arguments.max_megapixels or (None if are_chosen else ARRIVING_PIXELS)
    return Decoder(
        arguments.codec, arguments.decoder, runtime=arguments.runtime, threads=threads, max_pixels=limit
    )


def run(arguments: argparse.Namespace) -> int:
    """Decode every stream; return the exit code."""
    if arguments.engine == "ray":
        return _run_on_cluster(arguments)
    paths = [standard.path(name) for name in arguments.streams]
    packets = [path for path in paths if has_packets(path)]
    code = _run_on_packets(arguments, packets) if packets else 0
    streams = [path for path in paths if path not in packets or _has_streams(path)]
    if packets and not streams and arguments.list is None:
        return code
    suffix = ".png" if arguments.jpeg is None else ".jpg"
    inputs = Inputs(STREAMS, streams, arguments.out, suffix, listed=arguments.list, force=arguments.force)
    tasks = inputs.tasks()
    _check_suffix(inputs, arguments)
    decoder = make_decoder(arguments, are_chosen=not inputs.is_lazy)
    decoder.references = references = References(decoder.registry, arguments.memory)
    write = functools.partial(_write, quality=arguments.jpeg)
    pipeline = Pipeline(decoder, write, partial=arguments.partial, read=_read, threads=arguments.threads)
    console = Console.of(arguments, beside=batch.goes_to_standard_output(inputs))
    report = batch.Report(console, inputs.count, lambda: inputs.skipped, is_many=inputs.is_many, words=WORDS)
    return max(code, _tell(report, decode_chains(pipeline, report.sound(tasks), references)))


def _has_streams(path: Path) -> bool:
    return path.is_dir() and next(path.rglob(f"*{SUFFIX}"), None) is not None


def _run_on_packets(arguments: argparse.Namespace, paths: list[Path]) -> int:
    """Decode the best stream of each picture that packets are of; what is there already is made anew."""
    joined = Joined(paths, arguments.out, packet_key(arguments.key_file))
    console = Console.of(arguments)
    if joined.refused:
        console.warn(
            f"{joined.refused} packets are damaged, of another key, or of no picture, and were left out"
        )
    if not len(joined):
        raise PacketError(
            f"no picture in the packets of {', '.join(map(str, paths))}: too few have come, or --key-file is another; "
            "decode again when more are there"
        )
    decoder = make_decoder(arguments)
    write = functools.partial(_write, quality=None)
    pipeline = Pipeline(decoder, write, partial=True, read=joined.read, threads=arguments.threads)
    report = batch.Report(console, joined.__len__, lambda: 0, is_many=len(joined) > 1, words=WORDS)
    return _tell(report, pipeline.run(report.sound(joined.tasks())), joined.note)


def _check_suffix(inputs: Inputs, arguments: argparse.Namespace) -> None:
    """Refuse a name that says another kind of file than is written."""
    if inputs.is_many or inputs.out is None or inputs.out.endswith("/") or os.path.isdir(inputs.out):  # noqa: PTH112 - of a name that is too long pathlib raises
        return
    suffix = Path(inputs.out).suffix.lower()
    if suffix in (*SUFFIXES - JPEG - {".png"}, SUFFIX):
        raise OutputError(
            f"{inputs.out} says {suffix}, and pictures are written as .png or .jpg; give such a name"
        )
    if suffix == ".png" and arguments.jpeg is not None:
        raise OutputError(f"{inputs.out} says PNG, and --jpeg asks for JPEG; leave one out")


def _read(source: Path | str) -> bytes:
    return standard.read(MOST_BYTES) if standard.is_standard(source) else read_stream(Path(source))


def _write(
    target: Path | str, picture: npt.NDArray[np.uint8], told: dict[str, str], *, quality: int | None
) -> None:
    """Write a picture as its name says, or as --jpeg does."""
    if quality is None and Path(target).suffix.lower() in JPEG:
        quality = JPEG_QUALITY
    data = png(picture, told) if quality is None else jpg(picture, quality, told)
    if standard.is_standard(target):
        standard.write(data)
    else:
        write_where_told(Path(target), data)


def _run_on_cluster(arguments: argparse.Namespace) -> int:
    from heliograph.server import cluster

    if arguments.memory is not None:
        raise StreamError(
            "--engine ray takes streams that refer to no others; decode with --memory and no engine"
        )
    if arguments.jpeg is not None:
        raise OutputError("--engine ray writes PNG files; leave --jpeg out")
    if arguments.out is None:
        raise OutputError("--engine ray needs a folder or URL for the pictures: -o OUT")
    sources = [*arguments.streams, *(listed(arguments.list) if arguments.list else ())]
    tasks, done = cluster.find_tasks(sources, arguments.out, force=arguments.force)
    folder = str(registry.open_codec(arguments.codec).folder) if arguments.codec else None
    settings = cluster.Settings(
        arguments.decoder,
        folder,
        arguments.runtime,
        arguments.partial,
        arguments.threads,
        arguments.max_megapixels or ARRIVING_PIXELS,
    )
    report = batch.Report(
        Console.of(arguments), lambda: len(tasks) + done, lambda: done, is_many=True, words=WORDS
    )
    return _tell(report, cluster.run(tasks, settings, actors=arguments.actors, gpus=arguments.gpus))


def _tell(
    report: batch.Report, outcomes: Iterable[Outcome], note: Callable[[Path | str], str] = lambda source: ""
) -> int:
    with report:
        for outcome in outcomes:
            if outcome.error is not None:
                report.fail(outcome.task.source, outcome.error)
                continue
            result = batch.Result(
                outcome.width, outcome.height, outcome.stream_bytes, outcome.quality, outcome.seconds
            )
            report.tell(
                outcome.task, result, loss="; ".join(filter(None, [note(outcome.task.source), outcome.loss]))
            )
    return report.finish()
