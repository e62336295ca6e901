"""Ports behind a network, by RFC 2217, and whatever pySerial lets through: an error of ours, and tried again."""

from __future__ import annotations

import contextlib
import os
import socket
import termios
import threading
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("serial")

import serial
from serial.rfc2217 import PortManager

from heliograph.errors import LinkError
from heliograph.link.drive import drive
from heliograph.link.events import Event
from heliograph.link.port import Port
from heliograph.link.simulate.pty_line import open_terminal
from heliograph.stop import Stop


class WithoutLines(serial.Serial):  # type: ignore[misc, unused-ignore]
    """A pseudo-terminal, which has none of a port's other lines."""

    cts = dsr = ri = cd = property(lambda self: False)  # type: ignore[assignment, unused-ignore]

    def _update_rts_state(self) -> None: ...

    def _update_dtr_state(self) -> None: ...


class Server:
    """A terminal server as pySerial's own example: a serial port at the other side of a socket."""

    def __init__(self, path: str) -> None:
        self._port = WithoutLines(path, timeout=0.05)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Send, for the manager's answers."""
        self._connection.sendall(data)

    def _serve(self) -> None:
        self._connection, _ = self._listener.accept()
        with self._connection, contextlib.suppress(OSError):  # whoever was there goes
            self._connection.settimeout(0.05)
            manager = PortManager(self._port, self)  # type: ignore[arg-type, unused-ignore]
            while not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    if not (data := self._connection.recv(1024)):
                        return
                    self._port.write(b"".join(manager.filter(data)))
                if data := self._port.read(self._port.in_waiting or 1):
                    self._connection.sendall(b"".join(manager.escape(data)))

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._listener.close()
        self._port.close()


@pytest.fixture
def line() -> Iterator[tuple[Server, int]]:
    """A terminal server, and the far end of its serial port."""
    outer, inner, path = open_terminal()
    server = Server(path)
    yield server, outer
    server.close()
    os.close(inner)
    os.close(outer)


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # in pySerial
def test_it_carries_all_bytes_both_ways(line: tuple[Server, int]) -> None:
    server, outer = line
    port = Port(server.url, 57600)
    every = bytes(range(256)) * 2
    assert port.write(every) == len(every)
    found, end = b"", time.monotonic() + 10
    os.set_blocking(outer, False)
    while len(found) < len(every) and time.monotonic() < end:
        try:
            found += os.read(outer, 4096)
        except BlockingIOError:
            time.sleep(0.01)
    assert found == every
    os.write(outer, every)
    found = b""
    while len(found) < len(every) and time.monotonic() < end:
        port.wait(0.2, to_write=False)
        found += port.read()
    assert found == every
    port.close()


def test_nobody_there_is_said_in_one_line() -> None:
    with pytest.raises(LinkError, match=r"cannot open port rfc2217://127.0.0.1:1: .*"):
        Port("rfc2217://127.0.0.1:1")


@pytest.mark.parametrize(
    "error",
    [
        termios.error(5, "Input/output error"),
        OSError(71, "Protocol error"),
        AttributeError("fd"),
        TypeError("x"),
    ],
)
def test_whatever_opening_raises_is_retried(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def fails(url: str, **options: object) -> object:
        tries.append(1)
        if len(tries) == 2:
            stop.set()
        raise error

    monkeypatch.setattr(serial, "serial_for_url", fails)

    class End:
        def receive(self, data: bytes, now: float) -> None: ...

        def send(self, now: float) -> bytes:
            return b""

        def deadline(self) -> float:
            return float("inf")

        def disconnected(self, now: float) -> None: ...

        def take_events(self) -> list[Event]:
            return []

    told: list[Event] = []
    with Stop() as stop:
        drive(
            End(), lambda: Port("/dev/ttyX"), stop, tell=told.append, is_over=lambda: False, keep_trying=True
        )
    assert len(tries) == 2
    assert [event.details["reason"].split(":")[0] for event in told] == ["cannot open port /dev/ttyX"]
