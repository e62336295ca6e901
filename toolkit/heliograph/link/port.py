"""A serial port: the only place that imports pySerial. Any of its URLs: a device path, socket://, rfc2217:// ..."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import select
import socket
import threading
from typing import Any

from heliograph.errors import LinkError
from heliograph.extras import install

DEFAULT_BAUD = 115200
BITS_PER_BYTE = 10  # 8N1: a start and a stop bit
_READ = 16384
# Seconds of silence before the other end of a TCP connection is asked whether it is there, between two such questions,
# and milliseconds without an answer, to them or to data, that end the connection.
TCP_IDLE, TCP_AGAIN, TCP_MOST = 30, 10, 60_000
_HINTS = {
    errno.ENOENT: "there is no such device; plug it in, or list what is there: python -m serial.tools.list_ports",
    errno.ENODEV: "the device went away; plug it in again",
    errno.ENXIO: "the device went away; plug it in again",
    errno.EACCES: "you may not use it; add yourself to its group: sudo usermod -aG dialout $USER, and log in again",
    errno.EPERM: "you may not use it; add yourself to its group: sudo usermod -aG dialout $USER, and log in again",
    errno.EBUSY: "another program uses it; end that one (a console, a modem manager)",
    errno.EAGAIN: "another program uses it; end that one (a console, a modem manager)",
    errno.ENOTTY: "this is no serial port; check the path",
    errno.ECONNREFUSED: "nothing listens there; start the other end first, check host and port",
}


class Port:
    """An open port whose reads and writes never wait.

    Args:
        url: what `serial.serial_for_url` takes.
        baud: bits a second, where the port has such a thing.
        hardware_flow: use RTS and CTS.

    Raises:
        LinkError: pySerial is missing, or the port cannot be opened; later, from every method, it was lost.
    """

    def __init__(self, url: str, baud: int = DEFAULT_BAUD, *, hardware_flow: bool = False) -> None:
        try:
            self._serial = importlib.import_module("serial")
        except ImportError as error:
            raise LinkError(f"a port needs pySerial ({error}): {install('link')}") from error
        self.url = url
        try:
            self._port: Any = self._open(baud, hardware_flow=hardware_flow)
        except Exception as error:  # pySerial lets termios.error and whatever else a driver causes through
            raise LinkError(f"cannot open port {url}: {self._reason(error)}") from error
        _watch_over(self._port)
        self._stopping = threading.Event()
        self._pipe: tuple[int, int] | None = None
        self._lost = ""
        try:
            self._fd: int = self._port.fileno()
        except Exception:  # rfc2217://, loop://: bytes come through a thread and a pipe
            self._pipe = os.pipe()
            self._fd = self._pipe[0]
            os.set_blocking(self._fd, False)
            self._port.write_timeout = None  # their writes take all at once, or fail with a timeout of 0
            self._thread = threading.Thread(target=self._pump, daemon=True)
            self._thread.start()

    def _open(self, baud: int, *, hardware_flow: bool) -> Any:
        options: dict[str, Any] = {"baudrate": baud, "timeout": 0, "rtscts": hardware_flow}
        if not self.url.lower().startswith("rfc2217:"):  # which knows neither, and refuses to open with them
            options |= {"write_timeout": 0, "exclusive": True}
        return self._serial.serial_for_url(self.url, **options)

    def wait(self, seconds: float, *, to_write: bool, wake: int | None = None) -> None:
        """Wait until bytes have come, can be written, `wake` (a file descriptor) is readable, or time is over."""
        reading = [self._fd] if wake is None else [self._fd, wake]
        try:
            select.select(
                reading, [self._fd] if to_write and self._pipe is None else [], [], max(seconds, 0.0)
            )
        except (OSError, ValueError) as error:
            raise self._lost_error(error) from error

    def read(self) -> bytes:
        """Return what has come."""
        try:
            if self._pipe is None:
                ready, _, _ = select.select([self._fd], [], [], 0)
                return bytes(self._port.read(_READ)) if ready else b""
            with contextlib.suppress(BlockingIOError):
                if data := os.read(self._fd, _READ):
                    return data
        except Exception as error:  # as at the opening
            raise self._lost_error(error) from error
        if self._lost:
            raise LinkError(self._lost)
        return b""

    def write(self, data: bytes) -> int:
        """Write what fits and return how many bytes that were."""
        try:
            if self._pipe is None:
                _, ready, _ = select.select([], [self._fd], [], 0)
                return int(self._port.write(data)) if ready else 0
            return int(self._port.write(data))
        except self._serial.SerialTimeoutException:
            return 0
        except Exception as error:  # as at the opening
            raise self._lost_error(error) from error

    def close(self) -> None:
        """Close the port; nothing is raised."""
        self._stopping.set()
        with contextlib.suppress(Exception):
            self._port.close()
        if self._pipe is not None:
            self._thread.join(1)
            for descriptor in self._pipe:
                os.close(descriptor)

    def _pump(self) -> None:
        assert self._pipe is not None
        try:
            self._port.timeout = 0.1
            while not self._stopping.is_set():
                if data := self._port.read(1):
                    data += self._port.read(self._port.in_waiting)
                    os.write(self._pipe[1], data)
        except Exception as error:  # whatever a port's handler raises ends it
            if not self._stopping.is_set():
                self._lost = str(self._lost_error(error))

    def _lost_error(self, error: Exception) -> LinkError:
        return LinkError(f"port {self.url} was lost: {self._reason(error)}")

    def _reason(self, error: Exception) -> str:
        number = getattr(error, "errno", None)
        if number is None and error.__context__ is not None and error.__context__.args:
            number = error.__context__.args[0]  # of an OSError or a termios.error
        hint = _HINTS.get(number if isinstance(number, int) else 0, "check the cable and the URL")
        text = " ".join(str(error).split())
        return f"{text}; {hint}"


def _watch_over(port: Any) -> None:
    """Have the system find out when the other end of a TCP connection is gone without a word, as by a power cut."""
    connection = getattr(port, "_socket", None)
    if not isinstance(connection, socket.socket):
        return
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        options = {"TCP_KEEPIDLE": TCP_IDLE, "TCP_KEEPINTVL": TCP_AGAIN, "TCP_KEEPCNT": 3}
        for name, value in (options | {"TCP_USER_TIMEOUT": TCP_MOST}).items():
            if hasattr(socket, name):  # not every system has all
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
