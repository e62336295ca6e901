"""Questions to other processes: what crashes, hangs or takes gigabytes there does no harm here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PATIENCE = 120.0  # seconds; TensorFlow takes 20 to be imported by a slow disk


@dataclass(frozen=True)
class Answer:
    """What a process printed, or why it printed nothing."""

    value: Any = None
    problem: str = ""


def ask_python(program: str, *words: str, patience: float = PATIENCE, **environment: str) -> Answer:
    """Run a Python program that prints one JSON value as its last line, with this process's packages."""
    path = os.pathsep.join(part for part in sys.path if part)
    variables = os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"} | environment
    answer = _run([sys.executable, "-c", program, *words], patience, variables)
    if answer.problem:
        return answer
    try:
        return Answer(json.loads(answer.value[-1]))
    except (IndexError, ValueError):
        return Answer(problem="it printed nothing that can be read")


def ask_program(command: Sequence[str], *, patience: float = 20.0) -> Answer:
    """Run a program and return the lines it printed that are not empty."""
    return _run(list(command), patience, dict(os.environ))


def _run(command: list[str], patience: float, variables: dict[str, str]) -> Answer:
    try:
        done = subprocess.run(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience,
        )
    except subprocess.TimeoutExpired:
        return Answer(problem=f"no answer in {patience:g} s")
    except OSError as error:
        return Answer(problem=error.strerror or str(error))
    if done.returncode < 0:
        return Answer(problem=f"it was ended by {signal.Signals(-done.returncode).name}")
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        return Answer(problem=lines[-1] if lines else f"it ended with code {done.returncode}")
    return Answer([line.strip() for line in done.stdout.splitlines() if line.strip()])
