"""Connections to the page: those that ask nothing are few for each address, and end soon.

A connection is idle until the head of a request is there, and again when it was answered. Whoever opens another idle
one when there are enough ends the oldest, their own before another's: connections without a request, which anybody
may open, keep nobody out. An answer that refuses ends its connection, so who has no token holds none but idle ones.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD = 10.0  # seconds in which the head of a request must be there
IDLE_OF_ONE, IDLE = 64, 128  # of an address, more than a browser opens or a proxy for many; of all
CONNECTIONS = 256


class Idle:
    """The connections that are idle, by address, the oldest first."""

    def __init__(self) -> None:
        self._all: dict[Connection, None] = {}
        self._of: dict[str, dict[Connection, None]] = {}

    def add(self, connection: Connection) -> None:
        """Take a connection, and end the oldest where that makes too many."""
        self.remove(connection)
        own = self._of.setdefault(connection.address, {})
        own[connection] = self._all[connection] = None
        if len(own) > IDLE_OF_ONE:
            next(iter(own)).end()
        if len(self._all) > IDLE:
            next(iter(self._all)).end()

    def remove(self, connection: Connection) -> None:
        """Forget a connection, if it is there."""
        if connection in self._all:
            del self._all[connection]
            own = self._of[connection.address]
            del own[connection]
            if not own:
                del self._of[connection.address]


class Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """A connection that ends when it is idle for too long."""

    def __init__(self, *args: Any, idle: Idle, **options: Any) -> None:
        super().__init__(*args, **options)
        self.address = ""
        self._idle = idle
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin idle."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._rest()

    def data_received(self, data: bytes) -> None:
        """Read; a head that is not whole leaves the connection idle."""
        super().data_received(data)
        if self._is_asked:
            self._wake()

    def on_response_complete(self) -> None:
        """Be idle again, unless the next request is there already."""
        super().on_response_complete()
        if not self._is_asked and not self.transport.is_closing():
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Be forgotten."""
        self._wake()
        super().connection_lost(exc)

    def end(self) -> None:
        """Close; what was answered is still sent."""
        self._wake()
        self.transport.close()

    @property
    def _is_asked(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _rest(self) -> None:
        self._wake()
        self._timer = self.loop.call_later(HEAD, self.end)
        self._idle.add(self)

    def _wake(self) -> None:
        self._idle.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def make_config(app: Any) -> uvicorn.Config:
    """Return how the page is served."""
    return uvicorn.Config(
        app,
        http=functools.partial(Connection, idle=Idle()),  # type: ignore[arg-type]
        ws="none",  # nothing here speaks it, and it would have limits of its own
        log_level="error",  # a warning for each bad request would let anybody fill a disk
        access_log=False,  # addresses may hold the token
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=1,
        limit_concurrency=CONNECTIONS,
    )
