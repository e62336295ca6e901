"""What TensorFlow and LiteRT write to the terminal as they start: kept from it, unless it says why they did not.

TF_CPP_MIN_LOG_LEVEL says how much is wanted, as TensorFlow itself reads it: 0 or unset is everything, 3 nothing but
what ends the process. It does not hold for what libraries write while they are loaded, nor for LiteRT when it makes an
interpreter. That goes to file descriptor 2, past `sys.stderr`, and is caught there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator

from heliograph import forks

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_lock = forks.Lock()  # a descriptor belongs to all threads: two that exchange it would not both put it back


def silence() -> None:
    """Want none of it in this process and those it starts, unless the user's environment says otherwise."""
    os.environ.setdefault(LEVEL, "3")
    warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated", UserWarning)


def show() -> None:
    """Want all of it."""
    os.environ[LEVEL] = "0"


# A child that begins while a thread here has exchanged the descriptor would never get its own back.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.__enter__, after_in_parent=lambda: _lock.__exit__(None, None, None))


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Keep what is written to standard error, by this thread or another, from the terminal; show it at an exception.

    Only where `silence` was called, or the environment wants less than everything. What ends the process at once, such
    as a library that calls abort(), takes it along.
    """
    if os.environ.get(LEVEL, "0") == "0":
        yield
        return
    with _lock, tempfile.TemporaryFile() as kept:
        sys.stderr.flush()
        terminal = os.dup(2)
        os.dup2(kept.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            if failed:
                kept.seek(0)
                with open(2, "wb", closefd=False) as shown:
                    shutil.copyfileobj(kept, shown)
