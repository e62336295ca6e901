"""What waits at the sender: streams of a spool, their base layers first, and what of them is on the other side."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol

from heliograph.codec import container
from heliograph.errors import HeliographError, StreamError
from heliograph.link.transfer.again import Memory
from heliograph.link.transfer.pace import Sent
from heliograph.link.transfer.ranges import RangeSet
from heliograph.link.wire.names import MAX_STREAM, is_stream
from heliograph.link.wire.proofs import witness_of

MAX_WAITING = 4096  # streams looked at; the others wait until some of these have gone
MAX_CACHED = 8 << 20  # bytes of streams kept in memory


class Spool(Memory, Protocol):
    """A folder of streams that wait for the link; see `heliograph.device.spool`."""

    def names(self) -> list[str]:
        """Names, oldest first."""

    def read(self, name: str) -> bytes:
        """A stream's bytes; raises if it is gone. It may have become shorter since."""

    def remove(self, name: str, digest: bytes, *, is_confirmed: bool) -> None:
        """Forget a stream of which a version went, by its SHA-256; one that is not there is no error."""


@dataclass
class Outgoing:
    """A version of a stream that waits, as this process knows it.

    Attributes:
        base: bytes up to the end of the base layer.
        held: bytes that are on the receiver's disk.
        flying: bytes that are on the way.
        number: the one it is announced under in this session, or None.
        asked_at: when it was announced last, or None.
        is_known: the receiver answered the announcement in this session.
        was_known: it did in this session or an earlier one, so that `held` means something.
        pauses: how often the receiver refused it, one time after another.
        another: the receiver holds something under this name that is not known here.
    """

    name: str
    size: int
    digest: bytes
    base: int
    held: RangeSet = field(default_factory=RangeSet)
    flying: RangeSet = field(default_factory=RangeSet)
    number: int | None = None
    asked_at: float | None = None
    asked: int = 0
    is_known: bool = False
    was_known: bool = False
    another: bool = False
    pauses: int = 0

    def gap(self, stop: int) -> tuple[int, int] | None:
        """Return the first bytes before `stop` that are neither held nor on the way."""
        for start, end in self.held.gaps(0, stop):
            if (gap := self.flying.first_gap(start, end)) is not None:
                return gap
        return None

    def end_session(self) -> None:
        """Forget what only the session knew."""
        self.number = self.asked_at = None
        self.is_known, self.asked, self.flying = False, 0, RangeSet()


@dataclass
class Flight:
    """A packet on the way and the bytes of a stream in it."""

    sent: Sent
    stream: Outgoing | None = None
    start: int = 0
    stop: int = 0


def base_end(data: bytes) -> int:
    """Return how many bytes of a stream hold its header and base layer: all of them if it has but one part."""
    try:
        stream = container.open(data)
        stream.check_whole()
    except StreamError:
        return len(data)
    slices = stream.header.slice_count
    if stream.header.parts == 1:
        return len(data)
    return stream.segments[slices][0]


class Waiting:
    """The streams of a spool, and in which order their bytes should go.

    Base layers of all come before refinements of any; in each phase the oldest goes first.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._streams: dict[str, Outgoing] = {}
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0
        self._work: tuple[list[str], list[str]] = ([], [])  # names with bytes to send: base, all
        self._unusable: set[str] = set()
        self._empty: set[str] = set()  # names of files that may be filled yet
        self._paused: dict[
            str, float
        ] = {}  # names that the receiver does not take now, and until when they wait
        self._versions: dict[
            str, dict[bytes, bytes]
        ] = {}  # witnesses of what was announced under a name, by SHA-256
        self.finishing: set[str] = set()  # names of which all is held or on the way, not confirmed yet
        self.vanished: list[Outgoing] = []  # announced ones that are no longer to be sent

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def is_paused(self) -> bool:
        """Whether all that waits is paused."""
        return 0 < len(self._paused) == len(self._streams)

    def get(self, name: str) -> Outgoing | None:
        """Return the stream of a name, if it waits."""
        return self._streams.get(name)

    def refresh(self) -> list[str]:
        """Look into the spool; return names that cannot be sent, each once."""
        names = self._spool.names()
        refused = [n for n in names if not is_stream(n) and n not in self._unusable]
        self._unusable = (self._unusable & set(names)) | set(refused)
        self._empty &= set(names)
        wanted = [n for n in names if n not in self._unusable][:MAX_WAITING]
        for name in set(self._streams) - set(wanted):
            self.vanished.append(self._streams[name])
            self.forget(name)
        for name in wanted:
            if name not in self._streams and not self._take_in(name):
                refused.append(name)
        return refused

    def read(self, stream: Outgoing) -> bytes | None:
        """Return the bytes of a version; None if the spool now holds another one, which takes its place, or none."""
        data = self._cache.get(stream.name)
        if data is not None:
            self._cache.move_to_end(stream.name)
            return data
        try:
            data = self._spool.read(stream.name)
        except (HeliographError, OSError):
            data = b""
        if hashlib.sha256(data).digest() == stream.digest:
            self._keep(stream.name, data)
            return data
        self.vanished.append(stream)
        self.forget(stream.name, versions=not data)
        if data:
            self._take_in(stream.name, data)
        return None

    def remove(self, name: str, digest: bytes) -> None:
        """Take a stream out of the spool: the other side has the version of this SHA-256."""
        self._spool.remove(name, digest, is_confirmed=True)
        self.forget(name)

    def forget(self, name: str, *, versions: bool = True) -> None:
        """Forget what is known of a stream; the spool is not touched."""
        self._streams.pop(name, None)
        self._paused.pop(name, None)
        self._leave_out(name)
        self._cached -= len(self._cache.pop(name, b""))
        if versions:
            self._versions.pop(name, None)

    def set_aside(self, name: str) -> None:
        """Leave a stream in the spool and do not try it again in this process."""
        self.forget(name)
        self._unusable.add(name)

    def pause(self, stream: Outgoing, until: float) -> None:
        """The receiver does not take a stream now: leave it out until a time, and forget what was said of it."""
        stream.end_session()
        stream.was_known, stream.held = False, RangeSet()
        stream.pauses += 1
        self._paused[stream.name] = until
        self._leave_out(stream.name)

    def resume(self, now: float) -> None:
        """Take in again what was paused until now."""
        for name in [name for name, until in self._paused.items() if until <= now]:
            del self._paused[name]
            self.put_back(self._streams[name])

    def witness(self, stream: Outgoing, digest: bytes) -> bytes | None:
        """Return the witness of a version of a stream, by its SHA-256; None if this process never had it."""
        return self._versions.get(stream.name, {}).get(digest)

    def put_back(self, stream: Outgoing) -> None:
        """Bytes of a stream are to be sent (again)."""
        if self._streams.get(stream.name) is not stream or stream.name in self._paused:
            return
        for work, stop in zip(self._work, (stream.base, stream.size), strict=True):
            at = bisect_left(work, stream.name)
            is_in = at < len(work) and work[at] == stream.name
            if not is_in and (not stream.was_known or stream.gap(stop) is not None):
                insort(work, stream.name)
        if stream.was_known and stream.gap(stream.size) is None:
            self.finishing.add(stream.name)

    def candidates(self, phase: int, most: int) -> list[Outgoing]:
        """Return the first streams with bytes to send in a phase, 0 for base layers and 1 for all."""
        work, done = self._work[phase], 0
        streams: list[Outgoing] = []
        for name in work:
            stream = self._streams[name]
            stop = stream.size if phase else stream.base
            if stream.was_known and stream.gap(stop) is None:
                if phase:
                    self.finishing.add(name)
                if not streams:
                    done += 1
                continue
            streams.append(stream)
            if len(streams) == most:
                break
        del work[:done]
        return streams

    def end_session(self) -> None:
        """Forget what only the session knew; what the receiver confirmed stays known."""
        self.vanished.clear()
        for stream in self._streams.values():
            stream.end_session()
            self.put_back(stream)

    def _leave_out(self, name: str) -> None:
        self.finishing.discard(name)
        for work in self._work:
            at = bisect_left(work, name)
            if at < len(work) and work[at] == name:
                del work[at]

    def _take_in(self, name: str, data: bytes | None = None) -> bool:
        if data is None:
            try:
                data = self._spool.read(name)
            except (HeliographError, OSError):
                return True  # gone since; the next look tells
        if not data:
            is_told = name in self._empty
            self._empty.add(name)
            return is_told
        self._empty.discard(name)
        if len(data) > MAX_STREAM:
            self._unusable.add(name)
            return False
        stream = Outgoing(name, len(data), hashlib.sha256(data).digest(), base_end(data))
        self._streams[name] = stream
        self._versions.setdefault(name, {})[stream.digest] = witness_of(data)
        self._keep(name, data)
        self.put_back(stream)
        return True

    def _keep(self, name: str, data: bytes) -> None:
        self._cached += len(data) - len(self._cache.get(name, b""))
        self._cache[name] = data
        while self._cached > MAX_CACHED and len(self._cache) > 1:
            self._cached -= len(self._cache.popitem(last=False)[1])
