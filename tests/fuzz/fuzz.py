"""Fuzz what reads foreign bytes in Python: each target in turn, with figures at the end.

    python -m tests.fuzz.fuzz SECONDS [SEED] [TARGET ...]
    python -m tests.fuzz.fuzz again TARGET SEED

An execution is a target and a seed, so each can be had again, but for the nonces of sessions. It ends in a value or
in an error of our tree, in bounded time and memory: targets say so by raising nothing else, the rest is looked at here.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import folders, lines, streams

Once = Callable[[random.Random], None]
TARGETS: dict[str, Callable[[Path], Once]] = {
    "stream": streams.streams,
    "entropy-file": streams.models,
    "frame": lines.frames,
    "message": lines.said,
    "receiver": lines.receivers,
    "one-way-receiver": lines.one_way_receivers,
    "sender": lines.senders,
    "manifest": folders.manifests,
    "npz": folders.arrays,
    "decoder": folders.decoders,
}
MOST_SECONDS = 2.0  # of the processor, in one execution
MOST_MEMORY = 256 << 10  # KiB that executions add to the process at most
MOST_FINDINGS = 5  # of a target, which is left then


@dataclass
class Result:
    """What became of a target: how many executions, and the seeds and texts of those that failed."""

    executions: int = 0
    slowest: float = 0.0
    findings: list[str] = field(default_factory=list)


def memory(*, anew: bool = False) -> int:
    """Return the most memory that this process had since it was last counted `anew`, in KiB."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def execute(name: str, once: Once, seed: str, result: Result) -> None:
    """Run one execution and note what is wrong with it."""
    before, began = memory(anew=True), time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            once(random.Random(seed))
        result.slowest = max(result.slowest, took := time.process_time() - began)
        assert took < MOST_SECONDS, f"it took {took:.1f} s"
        assert memory() - before < MOST_MEMORY, f"it took {memory() - before} KiB"
    except Exception:
        result.findings.append(f"python -m tests.fuzz.fuzz again {name} {seed}\n{traceback.format_exc()}")
    result.executions += 1


def fuzz(seconds: float, seed: str, names: list[str], *, least: int = 1) -> dict[str, Result]:
    """Run each target for an equal part of the time, and at least so often."""
    results = {}
    for name in names:
        result = results[name] = Result()
        with tempfile.TemporaryDirectory(dir=lines.shared_memory()) as folder:
            once = TARGETS[name](Path(folder))
            end = time.monotonic() + seconds / len(names)
            while len(result.findings) < MOST_FINDINGS and (
                time.monotonic() < end or result.executions < least
            ):
                execute(name, once, f"{seed}.{result.executions}", result)
    return results


def main(arguments: list[str]) -> int:
    """Run and print; 1 if anything was found."""
    if arguments[0] == "again":
        results = fuzz_again(*arguments[1:])
    else:
        seed = arguments[1] if len(arguments) > 1 else "1"
        results = fuzz(float(arguments[0]), seed, arguments[2:] or list(TARGETS))
    for name, result in results.items():
        for finding in result.findings:
            print(finding)
        print(
            f"{name:17} {result.executions:12} executions, {len(result.findings)} findings, "
            f"the slowest took {result.slowest:.3f} s"
        )
    print(f"python in all     {sum(r.executions for r in results.values()):12} executions")
    return int(any(result.findings for result in results.values()))


def fuzz_again(name: str, seed: str) -> dict[str, Result]:
    """Run the execution of a seed alone."""
    result = Result()
    with tempfile.TemporaryDirectory(dir=lines.shared_memory()) as folder:
        execute(name, TARGETS[name](Path(folder)), seed, result)
    return {name: result}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
