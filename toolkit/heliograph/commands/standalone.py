"""Write one file that holds a stream and all that it refers to, so that it decodes anywhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.codec import chain, registry
from heliograph.codec.stream import decode_stream
from heliograph.commands import chains
from heliograph.commands.console import Console
from heliograph.errors import OutputError
from heliograph.files import write_where_told

NAME = "standalone"
HELP = "a stream with all that it refers to, in one file"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("stream", metavar="STREAM", type=Path, help="a .helio stream that refers to others")
    chains.add_options(parser)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.add_argument("-f", "--force", action="store_true", help="replace a file that exists already")
    parser.add_argument(
        "--codec", metavar="NAME_OR_DIR", help="where the codec lies, if it is not among the shipped ones"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the file; return the exit code."""
    if arguments.out.exists() and not arguments.force:
        raise OutputError(
            f"{arguments.out} exists already; use --force to replace it, or -o for another place"
        )
    codecs = registry.Registry([registry.open_codec(arguments.codec)] if arguments.codec else [])
    data = chains.read(arguments.stream, arguments.memory, codecs)
    stream = chain.open(data)
    decode_stream(stream, codecs.by_id(stream.header.codec_id))  # what is written decodes
    write_where_told(arguments.out, data)
    count = len(stream.before) + 1
    Console.of(arguments).result(
        {
            "stream": str(arguments.stream),
            "output": str(arguments.out),
            "streams": count,
            "stream_bytes": stream.total,
            "bytes": len(data),
        },
        f"{arguments.stream} -> {arguments.out}: {count} streams, {len(data)} bytes, {stream.total} of them its own",
    )
    return 0
