"""Many inputs to many outputs: where each result goes, and how one bad input does not stop the others."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from heliograph.codec import container, levels
from heliograph.errors import HeliographError, OutputError
from heliograph.files import write_whole

Pair = tuple[Path, Path]


@dataclass(frozen=True)
class Result:
    """What one input became: what its stream says of itself, and the time it took."""

    width: int
    height: int
    stream_bytes: int
    quality: float
    seconds: float

    @classmethod
    def of(cls, stream: bytes, seconds: float) -> Result:
        """Return the result whose stream these bytes are."""
        header = container.open(stream).header
        return cls(header.width, header.height, len(stream), levels.to_quality(header.level), seconds)

    @property
    def bits_per_pixel(self) -> float:
        return 8 * self.stream_bytes / (self.width * self.height)


def add_output_options(parser: argparse.ArgumentParser, suffix: str) -> None:
    """Add -o and --force to a command whose results are named after its inputs."""
    parser.add_argument(
        "-o",
        "--out",
        metavar="OUT",
        help=f"folder for the results, or a file for a single input; default: beside each input, as {suffix}",
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace results that exist already")
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object per result instead of a line"
    )


def pair_outputs(inputs: list[Path], out: str | None, suffix: str, *, force: bool) -> list[Pair]:
    """Return every input with the path of its result; nothing is written.

    OUT is a folder if it is one, ends in a slash, or there are several inputs; it need not exist.

    Raises:
        OutputError: an input is a folder, two inputs would get the same result, or a result is an input or
            exists and `force` is not given.
    """
    for path in inputs:
        if path.is_dir():
            raise OutputError(f"{path} is a folder, expected files; give the files in it: {path / '*'}")
    if out is None:
        pairs = [(path, path.with_suffix(suffix)) for path in inputs]
    elif len(inputs) > 1 or out.endswith(("/", os.sep)) or Path(out).is_dir():
        folder = Path(out)
        pairs = [(path, folder / path.with_suffix(suffix).name) for path in inputs]
    else:
        pairs = [(inputs[0], Path(out))]
    sources = {path.resolve() for path in inputs}
    taken: dict[Path, Path] = {}
    for source, target in pairs:
        place = target.absolute()
        if place in taken:
            raise OutputError(
                f"{taken[place]} and {source} would both become {target}; "
                "rename one, or do them one by one with -o"
            )
        taken[place] = source
        if place.resolve() in sources:
            raise OutputError(f"{target} is an input and would be overwritten; give another place with -o")
        if target.is_dir():
            raise OutputError(f"{target} is a folder, expected a file name; give another with -o")
        if target.exists() and not force:
            raise OutputError(f"{target} exists already; use --force to replace it, or -o for another place")
    return pairs


def store(path: Path, data: bytes) -> None:
    """Write a result, whole or not at all, making its folder if needed; OutputError if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make folder {path.parent}: {error.strerror}; give another with -o"
        ) from error
    write_whole(path, data)


def run_each(pairs: Iterable[Pair], work: Callable[[Path, Path], Result], *, as_json: bool) -> int:
    """Do `work(input, output)` for every pair and print its result; return 2 if any failed, else 0."""
    failed = 0
    for source, target in pairs:
        try:
            print(describe(source, target, work(source, target), as_json=as_json), flush=True)
        except HeliographError as error:
            failed = 2
            report_error(error)
        except MemoryError:
            failed = 2
            report_error(
                OutputError(f"{source}: not enough memory; use a machine with more, or a smaller picture")
            )
    return failed


def describe(source: Path | str, target: Path | str, result: Result, *, as_json: bool) -> str:
    """Return a result as a line for the user, or as one JSON object."""
    return (_json if as_json else _line)(source, target, result)


def _line(source: Path | str, target: Path | str, result: Result) -> str:
    return (
        f"{source} -> {target}: {result.width}x{result.height}, {result.stream_bytes} bytes, "
        f"{result.bits_per_pixel:.3f} bits per pixel, quality {result.quality:g}, {result.seconds:.2f} s"
    )


def _json(source: Path | str, target: Path | str, result: Result) -> str:
    names = {"input": str(source), "output": str(target)}
    return json.dumps(names | asdict(result) | {"bits_per_pixel": result.bits_per_pixel})


def report_error(error: Exception) -> None:
    """Print an error as one line on standard error."""
    print(f"heliograph: error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
