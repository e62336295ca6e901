"""The sender beside the capture loop: `heliograph send` in a process of its own, started again when it ends."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence

FIRST_DELAY, LAST_DELAY = 1.0, 60.0  # seconds before it is started again, doubled each time
STEADY = 60.0  # seconds of running after which the delay is the first again
GRACE = 20.0  # seconds to end in, after SIGTERM
_log = logging.getLogger(__name__)

# Linux sends the child SIGTERM (15) when its parent dies, even by SIGKILL (prctl's PR_SET_PDEATHSIG is 1): a second
# sender, started by the next capture, must not find the port taken.
_PROGRAM = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
from heliograph.cli import main
sys.exit(main(sys.argv[2:]))
"""


class SendProcess:
    """A child process that runs a heliograph command; a crash of it costs no picture.

    Args:
        command: arguments of `heliograph`, such as send --port URL --spool DIR.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = [sys.executable, "-c", _PROGRAM, str(os.getpid()), *command]
        self._child: subprocess.Popen[bytes] | None = None
        self._started = self._due = time.monotonic()
        self._delay = FIRST_DELAY

    def look(self) -> None:
        """Start the child if it does not run and is due; to be called again and again."""
        now = time.monotonic()
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return
            self._child = None
            if now - self._started >= STEADY:
                self._delay = FIRST_DELAY
            _log.warning("the sender ended with exit code %d; next start in %g s", code, self._delay)
            self._due = now + self._delay
            self._delay = min(2 * self._delay, LAST_DELAY)
        if now >= self._due:
            self._child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
            self._started = now

    def close(self) -> None:
        """End the child: SIGTERM, and SIGKILL if it takes more than GRACE seconds."""
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
