"""Encode pictures to .helio streams with a codec's int8 encoder; needs neither TensorFlow nor Keras.

Pictures of a folder that have a stream already are left out, so the same command fits a timer.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from heliograph.commands import batch, encoding, packets, standard
from heliograph.commands.console import Console
from heliograph.commands.inputs import SUFFIX, Inputs, Kind
from heliograph.errors import HeliographError, OutputError, PictureError
from heliograph.files import write_where_told
from heliograph.pictures import SUFFIXES, load_srgb, read_srgb
from heliograph.server.decoders import MOST_BYTES
from heliograph.server.pipeline import Task
from heliograph.validate import digests

NAME = "encode"
HELP = "pictures to .helio streams, on the device"
PICTURES = Kind("picture", SUFFIXES, PictureError)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "pictures",
        metavar="PICTURE",
        nargs="+",
        type=standard.path,
        help="JPEG, PNG, TIFF, WebP, AVIF ..., or folders of them: there, what has a stream already is left out; "
        "-: standard input",
    )
    batch.add_output_options(parser, SUFFIX)
    encoding.add_options(parser)
    parser.add_argument(
        "--memory",
        type=Path,
        metavar="DIR",
        help="each picture may refer to what DIR holds, so that only what has changed takes bytes, and then joins it, "
        "as if it had arrived; to decode it, what it refers to is needed",
    )
    encoding.add_memory_options(parser)
    packets.add_options(parser)
    parser.add_argument(
        "--with-digest",
        action="store_true",
        help="also write STREAM.digest: what this machine reads from its stream, for heliograph validate --streams",
    )


def run(arguments: argparse.Namespace) -> int:
    """Encode every picture; return the exit code."""
    packets.check_options(arguments)
    inputs = Inputs(PICTURES, arguments.pictures, arguments.out, SUFFIX, force=arguments.force)
    tasks = inputs.tasks()
    beside = batch.goes_to_standard_output(inputs)
    if beside and arguments.with_digest:
        raise OutputError("--with-digest writes a file beside the stream; give a file with -o")
    encoder, rate = encoding.make_encoder(arguments), encoding.rate(arguments)
    memory = encoding.make_memory(arguments, encoder.codec, arguments.memory) if arguments.memory else None
    in_packets = packets.PacketEncoder(arguments, encoder) if arguments.packets else None

    def encode(task: Task) -> tuple[Task, batch.Result]:
        if in_packets:
            return in_packets.encode(task)
        began, target = time.perf_counter(), Path(task.target)
        if standard.is_standard(task.source):
            picture = read_srgb(standard.read(MOST_BYTES), "standard input")
        else:
            picture = load_srgb(Path(task.source))
        height, width = picture.shape[:2]
        packed = encoder.pack(picture, rate, memory.candidates(width, height) if memory else ())
        data = packed.data
        if standard.is_standard(target):
            standard.write(data)
        else:
            write_where_told(target, data)
        if memory:  # only now: nothing may refer to a stream that nobody has
            memory.add(data, packed.as_reference())
        if arguments.with_digest:
            write_where_told(digests.beside(target), digests.record(data, encoder.codec, encoder.runtime))
        return task, batch.Result.of(data, time.perf_counter() - began)

    report = batch.Report(
        Console.of(arguments, beside=beside),
        inputs.count,
        lambda: inputs.skipped,
        is_many=inputs.is_many,
        words=("encoded", "streams", "encodes"),
    )
    with report:
        for task in report.sound(tasks):
            try:
                done, result = encode(task)
            except HeliographError as error:
                report.fail(task.source, error)
            except MemoryError:
                why = "not enough memory; use a machine with more, or a smaller picture"
                report.fail(task.source, OutputError(f"{task.source}: {why}"))
            else:
                report.tell(done, result)
    return report.finish()
