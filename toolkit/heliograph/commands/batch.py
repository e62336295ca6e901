"""Many inputs to many outputs: where each result goes, and how one bad input does not stop the others."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from heliograph.errors import HeliographError, OutputError

Pair = tuple[Path, Path]


def add_output_options(parser: argparse.ArgumentParser, suffix: str) -> None:
    """Add -o and --force to a command whose results are named after its inputs."""
    parser.add_argument(
        "-o",
        "--out",
        metavar="OUT",
        help=f"folder for the results, or a file for a single input; default: beside each input, as {suffix}",
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace results that exist already")


def pair_outputs(inputs: list[Path], out: str | None, suffix: str, *, force: bool) -> list[Pair]:
    """Return every input with the path of its result; nothing is written.

    OUT is a folder if it is one, ends in a slash, or there are several inputs; a missing folder is made.

    Raises:
        OutputError: two inputs would get the same result, or a result exists and `force` is not given.
    """
    if out is None:
        pairs = [(path, path.with_suffix(suffix)) for path in inputs]
    elif len(inputs) > 1 or out.endswith(("/", os.sep)) or Path(out).is_dir():
        folder = _make_folder(Path(out))
        pairs = [(path, folder / path.with_suffix(suffix).name) for path in inputs]
    else:
        pairs = [(inputs[0], Path(out))]
    taken: dict[Path, Path] = {}
    for source, target in pairs:
        place = target.absolute()
        if place in taken:
            raise OutputError(
                f"{taken[place]} and {source} would both become {target}; "
                "rename one, or do them one by one with -o"
            )
        taken[place] = source
        if target.is_dir():
            raise OutputError(f"{target} is a folder, expected a file name; give another with -o")
        if target.exists() and not force:
            raise OutputError(f"{target} exists already; use --force to replace it, or -o for another place")
    return pairs


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make folder {folder}: {error.strerror}; give another with -o") from error
    return folder


def run_each(pairs: Iterable[Pair], work: Callable[[Path, Path], str]) -> int:
    """Do `work(input, output)` for every pair, print the line it returns; return 2 if any failed, else 0."""
    failed = 0
    for source, target in pairs:
        try:
            print(work(source, target), flush=True)
        except HeliographError as error:
            failed = 2
            report_error(error)
        except MemoryError:
            failed = 2
            report_error(
                OutputError(f"{source}: not enough memory; use a machine with more, or a smaller picture")
            )
    return failed


def report_error(error: Exception) -> None:
    """Print an error as one line on standard error."""
    print(f"heliograph: error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
