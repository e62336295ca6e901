"""Simulated devices in real time, and gateways that join them to a `heliograph receive`.

A gateway is what a radio base station on TCP is: it merges, frame by frame, what its devices say into one line, and all
of them hear what the receiver says. The line has a rate and noise, is cut, and loses its TCP connection; a device
alone loses the line too, as in a radio shadow.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone

from heliograph.bench.soak_hostile import Hostile
from heliograph.codec import container
from heliograph.link.simulate.line import Faults, Line
from heliograph.link.simulate.spool import MemorySpool
from heliograph.link.transfer.sender import Sender

FAULTS = Faults(bit_error=1e-6, burst=1e-6)
SHORTEST_CUT, LONGEST_CUT = 0.3, 8.0  # seconds
LARGEST = 12_200  # bytes of a picture
_READ = 4096
_STEP = 0.004  # seconds at least between two looks


@dataclass
class Picture:
    """A stream that a device made: its SHA-256, when, and when it was confirmed, in seconds of the monotonic clock."""

    digest: bytes
    size: int
    made: float
    confirmed: float | None = None


class Cuts:
    """Times at which something is cut: each `every` seconds on average, from the first second on."""

    def __init__(self, draw: random.Random, every: float, now: float) -> None:
        self._draw, self._every = draw, every
        self._begin = now + draw.uniform(0.0, 1.5) * every
        self._end = self._begin + draw.uniform(SHORTEST_CUT, LONGEST_CUT)
        self.count = 0

    def is_cut(self, now: float) -> bool:
        """Return whether it is cut now."""
        if now >= self._end:
            self.count += 1
            self._begin = now + self._draw.uniform(0.5, 1.5) * self._every
            self._end = self._begin + self._draw.uniform(SHORTEST_CUT, LONGEST_CUT)
        return now >= self._begin


class Device:
    """A camera without one: makes streams of random bytes, about each `every` seconds, and sends them.

    Attributes:
        pictures: all that it made, by name.
    """

    def __init__(
        self, name: str, key: bytes | None, *, every: float, cut_every: float, now: float, seed: int
    ) -> None:
        self.name, self.is_keyed, self.pictures = name, key is not None, dict[str, Picture]()
        self._spool = MemorySpool({})
        self.sender = Sender(self._spool, name, key=key)
        self.told = Counter[str]()  # how often which event
        self._draw = random.Random(seed)
        self._every, self._next = every, now + self._draw.uniform(0.0, every)
        self.shadow = Cuts(self._draw, cut_every, now)

    @property
    def waiting(self) -> int:
        """Pictures that are not confirmed."""
        return len(self._spool.streams)

    def live(self, now: float, *, is_making: bool) -> None:
        """Make a picture if it is time, and note what was confirmed."""
        if is_making and now >= self._next:
            self._next = now + self._draw.uniform(0.5, 1.5) * self._every
            self._make(now)
        for event in self.sender.take_events():
            self.told[event.what] += 1
            if event.what == "sent":
                self.pictures[event.details["name"]].confirmed = now

    def _make(self, now: float) -> None:
        sizes = [self._draw.randint(500, 4000) for _ in range(3)]
        header = container.Header(self._draw.randbytes(8), 640, 480, 500, len(sizes))
        data = container.pack(header, [self._draw.randbytes(size) for size in sizes])
        digest = hashlib.sha256(data).digest()
        moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
        name = f"{moment}Z-{digest.hex()[:8]}.helio"
        self.pictures[name] = Picture(digest, len(data), now)
        self._spool.streams[name] = data


def listen(port: int = 0) -> socket.socket:
    """Return a socket that listens on this machine, on a free port or a given one."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(1)
    listening.setblocking(False)
    return listening


@dataclass
class Gateway:
    """One line with its devices and perhaps a hostile one; the receiver connects to `listening`."""

    devices: list[Device]
    baud: int
    cut_every: float
    now: float
    seed: int
    listening: socket.socket | None
    hostile: Hostile | None = None
    lost_connections: int = 0
    cuts: Cuts = field(init=False)
    _connection: socket.socket | None = None
    _rest: bytes = b""
    _turn: int = 0

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)
        self.cuts = Cuts(self._draw, self.cut_every, self.now)
        self._up = Line(self.baud, faults=FAULTS, seed=2 * self.seed)
        self._down = Line(self.baud, faults=FAULTS, seed=2 * self.seed + 1)
        assert self.listening is not None
        self._port = self.listening.getsockname()[1]

    def close(self) -> None:
        """Close what is open."""
        for end in (self._connection, self.listening):
            if end is not None:
                end.close()
        self._connection = self.listening = None

    def waits_for(self, now: float) -> tuple[list[socket.socket], list[socket.socket]]:
        """Return the sockets that `step` wants to read, and to write."""
        reading = [self.listening] if self.listening is not None and self._connection is None else []
        writing = []
        if self._connection is not None:
            if self._down.is_free(now):
                reading.append(self._connection)
            if self._rest:
                writing.append(self._connection)
        return reading, writing

    def step(self, now: float) -> float:
        """Carry bytes; return when to come again if no bytes come on the connection."""
        self._cut(now)
        self._accept()
        self._exchange(now)
        heard = self._down.read(now)
        if self.hostile is not None and heard:
            self.hostile.overhear(heard)
        ends = self.devices[self._turn :] + self.devices[: self._turn]
        self._turn = (self._turn + 1) % len(self.devices)
        wake = min(self._up.next_arrival, self._down.next_arrival)
        for device in ends:
            is_cut = device.shadow.is_cut(now)
            if heard and not is_cut:
                device.sender.receive(heard, now)
            if self._up.is_free(now) and (data := device.sender.send(now)) and not is_cut:
                self._say(data, now)
                wake = now
            wake = min(wake, device.sender.deadline())
        if self.hostile is not None:
            if self._up.is_free(now) and (data := self.hostile.send(now)):
                self._up.write(data, now)
            if self._down.is_free(now) and (data := self.hostile.send_down(now)):
                self._down.write(data, now)
            wake = min(wake, self.hostile.deadline())
        if not self._up.is_free(now):
            wake = max(wake, min(self._up.free_at, self._up.next_arrival, self._down.next_arrival))
        return max(wake, now + _STEP)

    def _say(self, data: bytes, now: float) -> None:
        self._up.write(data, now)
        if self.hostile is not None:
            self.hostile.overhear_up(data)

    def _cut(self, now: float) -> None:
        if self.cuts.is_cut(now):
            if not self._up.is_cut:
                self._up.cut()
                self._down.cut()
                if self._draw.random() < 0.5:  # the connection too: nothing listens until the cut is over
                    self.lost_connections += 1
                    self.close()
        elif self._up.is_cut:
            self._up.mend()
            self._down.mend()
            if self.listening is None:
                self.listening = listen(self._port)

    def _accept(self) -> None:
        if self.listening is None or self._connection is not None:
            return
        with contextlib.suppress(BlockingIOError):
            self._connection = self.listening.accept()[0]
            self._connection.setblocking(False)
            self._rest = b""

    def _exchange(self, now: float) -> None:
        self._rest += self._up.read(now)
        if self._connection is None:
            self._rest = b""
            return
        try:
            with contextlib.suppress(BlockingIOError):
                if self._rest:
                    self._rest = self._rest[self._connection.send(self._rest) :]
            while self._down.is_free(now):
                data = self._connection.recv(_READ)
                if not data:
                    raise ConnectionResetError
                self._down.write(data, now)
        except BlockingIOError:
            return
        except ConnectionError:
            self._connection.close()
            self._connection = None
