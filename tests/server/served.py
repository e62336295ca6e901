"""The page on a thread of its own, and a question to it, over real HTTP."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from heliograph.codec.codec import Codec
from heliograph.server.addresses import listen
from heliograph.server.connections import make_config
from heliograph.server.decoders import Decoder
from heliograph.server.live import Live
from heliograph.server.page import make_app

Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def serving(
    folder: Path, codec: Codec, token: str | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> Iterator[int]:
    """Serve a folder on a thread; yield the port."""
    with Live(folder, Decoder(codec, "preview")) as live:
        server = uvicorn.Server(make_config(make_app(live, token=token)))
        listening = listen(host, port)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
            listening.close()


def ask(
    port: int, path: str, method: str = "GET", *, address: str = "127.0.0.1", **headers: str | bytes
) -> Answer:
    """Ask on a connection of its own; return state, headers and body."""
    connection = http.client.HTTPConnection(address, port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=named)
    answer = connection.getresponse()
    found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    connection.close()
    return found


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something holds; AssertionError if it does not within so many seconds."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.05)
