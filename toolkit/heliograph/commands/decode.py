"""Decode .helio streams to PNG pictures, by the server's network or the small int8 preview decoder."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from heliograph.codec import registry
from heliograph.commands import batch
from heliograph.commands.inputs import Inputs, listed
from heliograph.device.runtime import RUNTIMES
from heliograph.errors import HeliographError, OutputError
from heliograph.server.codecs import KINDS, Decoder
from heliograph.server.pipeline import Outcome, Pipeline, Task
from heliograph.server.watch import write_picture

NAME = "decode"
HELP = ".helio streams to pictures, on the host"
NAMED = 20  # failed streams in the summary


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "streams",
        metavar="STREAM",
        nargs="*",
        help=".helio streams, or folders of them: there, pictures that exist already are left out",
    )
    parser.add_argument(
        "--list", metavar="FILE", help="streams are named in the lines of FILE, or of standard input: -"
    )
    batch.add_output_options(parser, ".png")
    add_decoder_options(parser)
    parser.add_argument(
        "--partial",
        action="store_true",
        help="decode what is there of a cut or damaged stream, and say what was missing",
    )
    parser.add_argument(
        "--threads",
        type=int,
        choices=range(1, 257),
        metavar="N",
        help="threads that decode symbols, and as many that write; default: one for each CPU core",
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


def make_decoder(arguments: argparse.Namespace) -> Decoder:
    """Return the decoder that was asked for; CodecError."""
    threads = os.cpu_count() or 1
    return Decoder(arguments.codec, arguments.decoder, runtime=arguments.runtime, threads=threads)


def run(arguments: argparse.Namespace) -> int:
    """Decode every stream; return the exit code."""
    if arguments.engine == "ray":
        return _run_on_cluster(arguments)
    streams = [Path(name) for name in arguments.streams]
    inputs = Inputs(streams, arguments.list, arguments.out, force=arguments.force)
    tasks = inputs.tasks()
    pipeline = Pipeline(
        make_decoder(arguments), write_picture, partial=arguments.partial, threads=arguments.threads
    )
    is_many = inputs.is_lazy or len(streams) > 1
    report = _Report(inputs.count, lambda: inputs.skipped, is_many=is_many, as_json=arguments.json)
    with report:
        for outcome in pipeline.run(report.sound(tasks)):
            report.tell(outcome)
    return report.finish()


def _run_on_cluster(arguments: argparse.Namespace) -> int:
    from heliograph.server import cluster

    if arguments.out is None:
        raise OutputError("--engine ray needs a folder or URL for the pictures: -o OUT")
    sources = [*arguments.streams, *(listed(arguments.list) if arguments.list else ())]
    tasks, done = cluster.find_tasks(sources, arguments.out, force=arguments.force)
    folder = str(registry.open_codec(arguments.codec).folder) if arguments.codec else None
    settings = cluster.Settings(
        arguments.decoder, folder, arguments.runtime, arguments.partial, arguments.threads
    )
    report = _Report(lambda: len(tasks) + done, lambda: done, is_many=True, as_json=arguments.json)
    with report:
        for outcome in cluster.run(tasks, settings, actors=arguments.actors, gpus=arguments.gpus):
            report.tell(outcome)
    return report.finish()


class _Report:
    """Tells of outcomes as they come: a line for each, a progress bar on a terminal, a summary at the end."""

    def __init__(
        self, count: Callable[[], int | None], skipped: Callable[[], int], *, is_many: bool, as_json: bool
    ) -> None:
        self._skipped, self._is_many, self._as_json = skipped, is_many, as_json
        self._bad: list[str] = []
        self._failed = self._done = self._pixels = 0
        self._began = time.perf_counter()
        shown = sys.stderr.isatty()
        self._bar = tqdm(
            total=count() if shown else None, unit=" pictures", disable=not shown, smoothing=0.05
        )

    def __enter__(self) -> None:
        pass

    def __exit__(self, *raised: object) -> None:
        self._bar.close()

    def sound(self, tasks: Iterator[Task | HeliographError]) -> Iterator[Task]:
        """Yield the tasks, and tell of those that are none."""
        for task in tasks:
            if isinstance(task, Task):
                yield task
            else:
                self._fail(task, str(task).split(" would ")[0])

    def tell(self, outcome: Outcome) -> None:
        """Print what became of a stream."""
        source = outcome.task.source
        if outcome.error is not None:
            self._fail(outcome.error, str(source))
            return
        self._done += 1
        self._pixels += outcome.width * outcome.height
        result = batch.Result(
            outcome.width, outcome.height, outcome.stream_bytes, outcome.quality, outcome.seconds
        )
        with self._bar.external_write_mode(file=sys.stdout):
            if outcome.loss:
                print(f"heliograph: {source}: {outcome.loss}", file=sys.stderr, flush=True)
            print(batch.describe(source, outcome.task.target, result, as_json=self._as_json), flush=True)
        self._advance()

    def _advance(self) -> None:
        speed = self._pixels / 1e6 / (time.perf_counter() - self._began)
        self._bar.set_postfix_str(f"{speed:.2f} megapixels/s, {self._failed} failed", refresh=False)
        self._bar.update(self._skipped() + self._failed + self._done - self._bar.n)

    def _fail(self, error: HeliographError, source: str) -> None:
        self._failed += 1
        if len(self._bad) < NAMED:
            self._bad.append(source)
        if self._is_many and source not in str(error):
            error = type(error)(f"{source}: {error}")
        with self._bar.external_write_mode(file=sys.stderr):
            batch.report_error(error)
        self._advance()

    def finish(self) -> int:
        """Print the summary where more than one stream was given; return the exit code."""
        skipped = self._skipped()
        if self._is_many:
            parts = [f"{self._done} decoded"]
            if skipped:
                parts.append(f"{skipped} left out because their pictures exist (--force decodes them again)")
            if self._failed:
                more = self._failed - len(self._bad)
                named = ", ".join(self._bad) + (f" and {more} more" if more else "")
                parts.append(f"{self._failed} failed: {named}")
            print(f"heliograph: {'; '.join(parts)}", file=sys.stderr, flush=True)
        return 2 if self._failed else 0
