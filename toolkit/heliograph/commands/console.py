"""What a command tells: results on standard output, as text or JSON; notes and errors on standard error."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from heliograph.errors import OutputError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command has."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print results as JSON, an object a line")
    group.add_argument(
        "-q", "--quiet", action="store_true", help="print errors only, and what --json asks for"
    )
    group.add_argument(
        "--verbose", action="store_true", help="show what TensorFlow and LiteRT write while they start, too"
    )


@dataclass(frozen=True)
class Console:
    """Where a command's words go.

    Attributes:
        as_json: results as JSON.
        is_quiet: nothing that is not asked for.
        beside: results on standard error, as standard output has the data.
    """

    as_json: bool = False
    is_quiet: bool = False
    beside: bool = False

    @classmethod
    def of(cls, arguments: argparse.Namespace, *, beside: bool = False) -> Console:
        """Return what `add_options` asks for."""
        return cls(arguments.json, arguments.quiet, beside)

    def result(self, values: Mapping[str, object], lines: str | Iterable[str]) -> None:
        """Print a result: its values as one line of JSON, or as lines of text; names, paths and numbers.

        Raises:
            OutputError: standard output takes no more.
        """
        if self.as_json:
            self._print(json.dumps(dict(values), default=str))
        elif not self.is_quiet:
            self._print(lines if isinstance(lines, str) else "\n".join(lines))

    def _print(self, text: str) -> None:
        if self.beside:
            print(text, file=sys.stderr, flush=True)
        else:
            _print(text)

    def note(self, text: str) -> None:
        """Print a line about how things go, on standard error."""
        if not self.is_quiet:
            print(f"heliograph: {text}", file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Print a line about something that is not as it should be, on standard error, whatever was asked for."""
        print(f"heliograph: {text}", file=sys.stderr, flush=True)


class Logged(logging.Handler):
    """Prints what the package logs as `Console.warn` does; standard error is looked up anew each time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        print(f"heliograph: {self.format(record)}", file=sys.stderr, flush=True)


def show_logged() -> None:
    """Print what the package logs from now on; once, however often this is called."""
    logger = logging.getLogger("heliograph")
    if not any(isinstance(handler, Logged) for handler in logger.handlers):
        logger.addHandler(Logged(logging.WARNING))


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise  # whoever reads has seen enough
    except OSError as error:
        mute()
        raise OutputError(
            f"cannot print results: {error.strerror}; free some space, or send standard output elsewhere"
        ) from error


def mute() -> None:
    """Print nothing more, nor what is still in the buffer: the interpreter would try that as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report_error(error: Exception) -> None:
    """Print an error as one line on standard error."""
    print(f"heliograph: error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
