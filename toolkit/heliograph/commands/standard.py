"""Standard input and output in the place of files: "-" on the command line, as a path. A file of that name is ./-"""

from __future__ import annotations

import sys
from pathlib import Path

from heliograph.errors import OutputError, StreamError

NAME = "-"
HERE = Path(NAME)


def path(text: str) -> Path:
    """Return a path as it was given: "-" is HERE, and ./- a file, which `Path` alone would make the same."""
    return Path.cwd() / NAME if text != NAME and Path(text) == HERE else Path(text)


def is_standard(path: Path | str | None) -> bool:
    """Return whether a path stands for standard input or output."""
    return str(path) == NAME


def read(most: int) -> bytes:
    """Return all of standard input.

    Raises:
        StreamError: it has more than `most` bytes, cannot be read, or there is none.
    """
    try:
        data = sys.stdin.buffer.read(most + 1)
    except (OSError, ValueError, AttributeError) as error:
        raise StreamError(f"cannot read standard input: {error}; give a file") from error
    if len(data) > most:
        raise StreamError(f"standard input has more than {most} bytes; give a file")
    return data


def write(data: bytes) -> None:
    """Write to standard output.

    Raises:
        OutputError: it takes no more.
        BrokenPipeError: whoever reads it has gone.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write to standard output: {error.strerror}; free some space, or send it elsewhere"
        ) from error
