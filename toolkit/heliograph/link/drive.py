"""Runs one end of the link on a port, in real time, until it is over or a signal comes; opens lost ports again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from heliograph.errors import LinkError
from heliograph.link.events import Event
from heliograph.stop import Stop

FIRST_RETRY, LAST_RETRY = 0.5, 15.0  # seconds before a port is opened again, doubling
LONGEST_WAIT = 1.0


class End(Protocol):
    """A sender or receiver without a port."""

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes."""

    def send(self, now: float) -> bytes:
        """Give the next bytes, or none."""

    def deadline(self) -> float:
        """Give the time of the next call."""

    def disconnected(self, now: float) -> None:
        """The port was lost and is there again."""

    def take_events(self) -> list[Event]:
        """Give what happened."""


class OpenPort(Protocol):
    """What is asked of a port; see `heliograph.link.port.Port`."""

    def wait(self, seconds: float, *, to_write: bool, wake: int | None = None) -> None:
        """Wait."""

    def read(self) -> bytes:
        """Return what has come."""

    def write(self, data: bytes) -> int:
        """Write what fits."""

    def close(self) -> None:
        """Close."""


def drive(
    end: End,
    open_port: Callable[[], OpenPort],
    stop: Stop,
    *,
    tell: Callable[[Event], None],
    is_over: Callable[[], bool],
    keep_trying: bool,
) -> None:
    """Run an end until `is_over` or `stop`; events go to `tell`.

    Args:
        keep_trying: open the port again for ever; else the first failure is raised.

    Raises:
        LinkError: the port cannot be opened or was lost, and `keep_trying` is not set.
    """
    retry, told = FIRST_RETRY, ""
    while not stop.is_set:
        began = time.monotonic()
        try:
            port = open_port()
            try:
                end.disconnected(time.monotonic())
                _pump(end, port, stop, tell, is_over)
                return
            finally:
                port.close()
        except LinkError as error:
            if not keep_trying:
                raise
            if str(error) != told:  # once, not every few seconds for a night
                told = str(error)
                tell(Event("port", {"reason": told}))
        if time.monotonic() - began > LAST_RETRY:
            retry = FIRST_RETRY
        stop.wait(retry)
        retry = min(2 * retry, LAST_RETRY)


def _pump(
    end: End, port: OpenPort, stop: Stop, tell: Callable[[Event], None], is_over: Callable[[], bool]
) -> None:
    rest = b""
    while not stop.is_set:
        now = time.monotonic()
        if data := port.read():
            end.receive(data, now)
        while rest or (rest := end.send(now)):
            written = port.write(rest)
            rest = rest[written:]
            if rest:
                break
        for event in end.take_events():
            tell(event)
        if not rest and is_over():
            return
        wait = min(end.deadline() - time.monotonic(), LONGEST_WAIT)
        if wait > 0 or rest:
            port.wait(LONGEST_WAIT if rest else wait, to_write=bool(rest), wake=stop.fileno())
