"""Ports: pseudo-terminals, sockets and pySerial's loop, and errors that say what to do."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("serial")

from heliograph.errors import LinkError
from heliograph.link.drive import drive
from heliograph.link.events import Event
from heliograph.link.port import Port
from heliograph.link.simulate.pty_line import open_terminal
from heliograph.stop import Stop


def read_all(port: Port, size: int) -> bytes:
    found, end = b"", time.monotonic() + 5
    while len(found) < size and time.monotonic() < end:
        port.wait(0.2, to_write=False)
        found += port.read()
    return found


def test_a_pseudo_terminal_carries_all_bytes() -> None:
    outer, inner, path = open_terminal()
    os.set_blocking(outer, True)
    port = Port(path, 921600)
    every = bytes(range(256)) * 4
    assert port.write(every) == len(every)
    assert os.read(outer, 4096) == every
    os.write(outer, every)
    assert read_all(port, len(every)) == every
    with pytest.raises(LinkError, match="another program uses it; end that one"):
        Port(path)
    port.close()
    os.close(inner)
    port = Port(path)
    os.close(outer)  # the device is unplugged
    with pytest.raises(LinkError, match=r"port .* was lost: .*; "):
        read_all(port, 1)
    port.close()


def test_a_full_terminal_takes_part_and_does_not_wait() -> None:
    outer, inner, path = open_terminal()
    port = Port(path)
    began, total = time.monotonic(), 0
    for _ in range(100):
        total += port.write(bytes(range(1, 201)))
    assert time.monotonic() - began < 2
    assert 0 < total < 20000
    port.close()
    os.close(inner)
    os.close(outer)


def test_a_socket_is_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = Port(f"socket://127.0.0.1:{server.getsockname()[1]}")
        other, _ = server.accept()
        other.sendall(b"hello")
        assert read_all(port, 5) == b"hello"
        assert port.write(b"answer") == 6
        assert other.recv(100) == b"answer"
        other.close()
        with pytest.raises(LinkError, match=r"was lost: .*socket disconnected"):
            read_all(port, 1)
        port.close()


def test_a_port_without_descriptor_goes_through_a_thread() -> None:
    port = Port("loop://")
    assert port.write(bytes(range(256))) == 256
    assert read_all(port, 256) == bytes(range(256))
    port.close()
    assert not [t for t in threading.enumerate() if "_pump" in t.name]


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("/dev/does-not-exist", "there is no such device; plug it in, or list what is there"),
        ("socket://127.0.0.1:1", "nothing listens there; start the other end first"),
        ("nonsense://x", "protocol 'nonsense' not known; check the cable and the URL"),
        ("/etc/hostname", "this is no serial port; check the path"),
    ],
)
def test_errors_say_what_to_do(url: str, hint: str) -> None:
    with pytest.raises(LinkError) as caught:
        Port(url)
    assert str(caught.value).startswith(f"cannot open port {url}: ")
    assert hint in str(caught.value)


class Idle:
    """An end with nothing to say."""

    def __init__(self) -> None:
        self.connections = 0

    def receive(self, data: bytes, now: float) -> None: ...

    def send(self, now: float) -> bytes:
        return b""

    def deadline(self) -> float:
        return float("inf")

    def disconnected(self, now: float) -> None:
        self.connections += 1

    def take_events(self) -> list[Event]:
        return []


def test_a_lost_port_is_opened_again_and_a_stop_ends_it(tmp_path: Path) -> None:
    link, first, second = tmp_path / "port", open_terminal(), open_terminal()
    link.symlink_to(first[2])
    end, told = Idle(), list[Event]()

    def work() -> None:
        drive(end, lambda: Port(str(link)), stop, tell=told.append, is_over=lambda: False, keep_trying=True)

    with Stop() as stop:
        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.3)
        os.close(first[1])
        os.close(first[0])
        link.unlink()
        link.symlink_to(second[2])
        limit = time.monotonic() + 10
        while end.connections < 2 and time.monotonic() < limit:
            time.sleep(0.05)
        stop.set()
        thread.join(5)
    assert not thread.is_alive()
    assert end.connections == 2
    assert "was lost" in told[0].details["reason"]
    os.close(second[0])
    os.close(second[1])
