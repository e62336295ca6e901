"""A stream with all that it refers to, looked for in a memory and beside it, for commands that look at one stream."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.codec import chain
from heliograph.codec.folder import StreamFolders
from heliograph.codec.registry import Registry
from heliograph.server.decoders import read_stream


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the option that `read` is given."""
    parser.add_argument(
        "--memory",
        type=Path,
        metavar="DIR",
        help="where pictures lie that the stream refers to: a memory, or any folder of streams; default: beside it",
    )


def read(path: Path, memory: Path | None, codecs: Registry) -> bytes:
    """Return a stream that refers to nothing, or the chain file of one that does, found in `memory` and beside it.

    Raises:
        StreamError: it cannot be read or is malformed; or what it refers to is not there: ReferenceMissing.
    """
    data = read_stream(path)
    stream = chain.open(data)
    if stream.header.reference is None or stream.before:
        return data
    stream.check_whole()
    folders = [path.parent] if memory is None else [memory, path.parent]
    return chain.pack(StreamFolders(folders, codecs).chain(data, path.name))
