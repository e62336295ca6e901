"""Runs one end of the link on a port, in real time, until it is over or a signal comes; opens lost ports again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from heliograph.errors import LinkError, SpoolError
from heliograph.link.events import Event
from heliograph.stop import Stop

FIRST_RETRY, LAST_RETRY = 0.5, 15.0  # seconds before a port is opened again, doubling
LONGEST_WAIT = 1.0
BLOCKED = 25.0  # seconds in which a line takes no byte, after which that is told


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
        keep_trying: open the port again for ever, also where a spool cannot be read for a while; else the first failure
            is raised.

    Raises:
        SpoolError: the spool cannot be read, and `keep_trying` is not set.
        LinkError: the port cannot be opened, was lost or takes no bytes, and `keep_trying` is not set.
    """
    retry, told = FIRST_RETRY, ""
    while not stop.is_set:
        began = time.monotonic()
        try:
            port = open_port()
            try:
                end.disconnected(time.monotonic())
                _pump(end, port, stop, tell, is_over, _Blocked(tell, keep_trying=keep_trying))
                return
            finally:
                port.close()
        except (LinkError, SpoolError) as error:
            if not keep_trying:
                raise
            if str(error) != told:  # once, not every few seconds for a night
                told = str(error)
                tell(Event("port" if isinstance(error, LinkError) else "spool", {"reason": told}))
        if time.monotonic() - began > LAST_RETRY:
            retry = FIRST_RETRY
        stop.wait(retry)
        retry = min(2 * retry, LAST_RETRY)


class _Blocked:
    """Tells of a line that takes no bytes, once until it does, or gives up."""

    def __init__(self, tell: Callable[[Event], None], *, keep_trying: bool) -> None:
        self._tell, self._keep_trying = tell, keep_trying
        self._moved, self._has_told = float("inf"), False

    def look(self, now: float, *, is_waiting: bool) -> None:
        """Note whether bytes wait of which the line took none."""
        if not is_waiting:
            self._moved, self._has_told = float("inf"), False
            return
        self._moved = min(self._moved, now)
        if now - self._moved < BLOCKED or self._has_told:
            return
        reason = f"the line takes no bytes for {BLOCKED:g} s; check cable, flow control and the other end"
        if not self._keep_trying:
            raise LinkError(reason)
        self._has_told = True
        self._tell(Event("blocked", {"reason": reason}))


def _pump(
    end: End,
    port: OpenPort,
    stop: Stop,
    tell: Callable[[Event], None],
    is_over: Callable[[], bool],
    blocked: _Blocked,
) -> None:
    rest = b""
    while not stop.wait(0):
        now = time.monotonic()
        if data := port.read():
            end.receive(data, now)
        while rest or (rest := end.send(now)):
            written = port.write(rest)
            rest = rest[written:]
            if rest:
                break
        blocked.look(now, is_waiting=bool(rest) and not written)
        for event in end.take_events():
            tell(event)
        if not rest and is_over():
            return
        wait = min(end.deadline() - time.monotonic(), LONGEST_WAIT)
        if wait > 0 or rest:
            port.wait(LONGEST_WAIT if rest else wait, to_write=bool(rest), wake=stop.fileno())
