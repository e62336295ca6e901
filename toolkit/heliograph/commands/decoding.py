"""The decoder beside a receiver, in a process of its own: started again whenever it ends."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from typing import Any

from heliograph.link.events import Event
from heliograph.pauses import Pauses

FIRST, LAST = 1.0, 300.0  # seconds before it is started again
STEADY = 60.0  # seconds of running after which the pause is the first again


class DecodingProcess:
    """A process that runs a function; a crash of it costs no stream.

    Args:
        run: of a module, what it returns is the exit code.
        arguments: of that function.
        tell: told when the process has ended.
    """

    def __init__(self, run: Callable[[Any], int], arguments: object, tell: Callable[[Event], None]) -> None:
        self._run, self._arguments, self._tell = run, arguments, tell
        self._pauses = Pauses(FIRST, LAST)
        self._lock = threading.Lock()
        self._process: SpawnProcess | None = None
        self._started = 0.0
        self.look()

    def look(self) -> None:
        """Start the process if it does not run and is due; to be called again and again, from any thread."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._process is not None:
                if self._process.is_alive():
                    return
                self._ended(self._process.exitcode)
                self._process = None
            if self._pauses.is_due(self):
                self._process = multiprocessing.get_context("spawn").Process(
                    target=_exit, args=(self._run, self._arguments), daemon=True
                )
                self._process.start()
                self._started = time.monotonic()
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._process is not None:
                self._process.terminate()
                self._process.join()

    def _ended(self, code: int | None) -> None:
        if time.monotonic() - self._started >= STEADY:
            self._pauses.forget(self)
        pause = self._pauses.failed(self)
        reason = f"the decoder ended with exit code {code}"
        if code is not None and code < 0:
            reason = f"the decoder was ended by signal {-code}"
        self._tell(
            Event(
                "restart",
                {"reason": f"{reason}; streams are still received, it is started again in {pause:g} s"},
            )
        )


def _exit(run: Callable[[Any], int], arguments: object) -> None:
    raise SystemExit(run(arguments))
