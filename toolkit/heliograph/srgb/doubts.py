"""What is said of a picture that is taken although something about its file is not as it should be."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar

_log = logging.getLogger("heliograph.pictures")
_file: ContextVar[str] = ContextVar("file", default="a picture")


@contextlib.contextmanager
def about(file: object) -> Iterator[None]:
    """Say of everything within which file it is about."""
    token = _file.set(str(file))
    try:
        yield
    finally:
        _file.reset(token)


def warn(text: str) -> None:
    """Log what is wrong, for whoever looks after the pictures."""
    _log.warning("%s: %s", _file.get(), text)
