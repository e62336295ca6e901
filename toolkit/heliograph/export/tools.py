"""Other people's programs: where they are, and running them so that a failure says what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from heliograph.errors import ExportError, RuntimeUnavailableError

TIMEOUT = 600  # seconds; Vela needs one, Coral's compiler gives up after 180 by itself


def find_tool(name: str) -> Path | None:
    """Return a program of the PATH or of this Python's environment, or None."""
    place = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    return (
        Path(place).absolute() if place else None
    )  # not resolved: a link's place may matter, as of Python in a venv


def need_tool(name: str, given: str | None, install: str) -> Path:
    """Return the program that was named, or else the one that is found; RuntimeUnavailableError if there is none."""
    if given is not None:
        program = find_tool(given)
        if program is None:
            raise RuntimeUnavailableError(
                f"{given} is not a program that can be run; give another path, or {install}"
            )
        return program
    path = find_tool(name)
    if path is None:
        raise RuntimeUnavailableError(f"{name} is not installed: {install}")
    return path


def run_tool(
    command: Sequence[str | Path],
    *,
    folder: Path,
    timeout: float = TIMEOUT,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end in a folder; its exit code is the caller's to judge.

    Raises:
        ExportError: it could not be started or took longer than `timeout` seconds.
    """
    words = [str(word) for word in command]
    try:
        return subprocess.run(
            words,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise ExportError(
            f"{words[0]} did not end within {timeout:g} s and was stopped; run it by hand to see why: {' '.join(words)}"
        ) from None
    except OSError as error:
        raise ExportError(
            f"cannot run {words[0]}: {error.strerror}; install it again or name another"
        ) from error


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line that a failed program wrote, its errors first."""
    lines = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no message"])[-1]
