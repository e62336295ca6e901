"""Many inputs to many results: how each is told of, and how one bad input does not stop the others."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from heliograph import progress
from heliograph.codec import container, levels
from heliograph.commands import standard
from heliograph.commands.console import Console, report_error
from heliograph.commands.inputs import Inputs, Refused
from heliograph.errors import HeliographError
from heliograph.server.pipeline import Task

NAMED = 20  # failed inputs in the summary


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
        help=f"folder for the results, or a file for a single input, or -: standard output; default: beside each "
        f"input, as {suffix}",
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace results that exist already")


def goes_to_standard_output(inputs: Inputs) -> bool:
    """Return whether the one result there is goes to standard output, so that words must not."""
    return standard.is_standard(inputs.out) or (inputs.out is None and standard.HERE in inputs.paths)


class Report:
    """Tells of results as they come: a line for each, a progress bar on a terminal, a summary of many at the end.

    Args:
        count: how many inputs there are, if that can be known; called only where a bar is shown.
        skipped: how many were left out so far because their results are there.
        is_many: whether there is more than one input.
        words: what the summary says of inputs that were done, of their results, and of doing that again.
    """

    def __init__(
        self,
        console: Console,
        count: Callable[[], int | None],
        skipped: Callable[[], int],
        *,
        is_many: bool,
        words: tuple[str, str, str],
    ) -> None:
        self._console, self._skipped, self._is_many, self._words = console, skipped, is_many, words
        self._bad: list[str] = []
        self._failed = self._done = self._pixels = 0
        self._began = time.perf_counter()
        total = count() if is_many and sys.stderr.isatty() else None
        self._bar = progress.bar(total, unit=" pictures", smoothing=0.05, disable=not is_many or None)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *raised: object) -> None:
        self._bar.close()

    def sound(self, tasks: Iterator[Task | Refused]) -> Iterator[Task]:
        """Yield the tasks, and tell of inputs that are none."""
        for task in tasks:
            if isinstance(task, Task):
                yield task
            else:
                self.fail(task.source, task.error)

    def tell(self, task: Task, result: Result, *, loss: str = "") -> None:
        """Print what became of an input, and what its stream lacked."""
        self._done += 1
        self._pixels += result.width * result.height
        names = {"input": str(task.source), "output": str(task.target)}
        with self._bar.external_write_mode(file=sys.stdout):
            if loss:
                self._console.warn(f"{task.source}: {loss}")
            self._console.result(
                names | asdict(result) | {"bits_per_pixel": result.bits_per_pixel},
                f"{task.source} -> {task.target}: {result.width}x{result.height}, {result.stream_bytes} bytes, "
                f"{result.bits_per_pixel:.3f} bits per pixel, quality {result.quality:g}, {result.seconds:.2f} s",
            )
        self._advance()

    def fail(self, source: Path | str, error: HeliographError) -> None:
        """Print why there is no result."""
        self._failed += 1
        name = str(source)
        if len(self._bad) < NAMED:
            self._bad.append(name)
        if self._is_many and name not in str(error):
            error = HeliographError(f"{name}: {error}")
        with self._bar.external_write_mode(file=sys.stderr):
            report_error(error)
        self._advance()

    def _advance(self) -> None:
        speed = self._pixels / 1e6 / (time.perf_counter() - self._began)
        self._bar.set_postfix_str(f"{speed:.2f} megapixels/s, {self._failed} failed", refresh=False)
        self._bar.update(self._skipped() + self._failed + self._done - self._bar.n)

    def finish(self) -> int:
        """Print the summary where more than one input was given; return the exit code."""
        skipped, (did, results, again) = self._skipped(), self._words
        if self._is_many:
            parts = [f"{self._done} {did}"]
            if skipped:
                parts.append(f"{skipped} left out because their {results} exist (--force {again} them again)")
            if self._failed:
                more = self._failed - len(self._bad)
                named = ", ".join(self._bad) + (f" and {more} more" if more else "")
                parts.append(f"{self._failed} failed: {named}")
            self._console.note("; ".join(parts))
        return 2 if self._failed else 0
