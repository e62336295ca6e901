"""The end of a one-way line that only listens (LINK.md, section 6)."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from heliograph.link.events import Event, Log
from heliograph.link.one_way.arriving import Arriving
from heliograph.link.one_way.bodies import STREAM_BYTES, Description, Piece, Run, parse
from heliograph.link.one_way.frames import FrameReader, source_of
from heliograph.link.transfer.store import Store
from heliograph.link.wire.frames import Corrupt, FrameCoder, FrameDecoder
from heliograph.link.wire.names import bears
from heliograph.link.wire.session import Trouble

SYNC = 0.5  # seconds until bytes that have come are on the disk
MAX_OPEN = 32  # pictures that are arriving
MAX_ORPHANS = 256 << 10  # bytes kept of pictures whose description has not come yet
_MALFORMED = Trouble("a one-way frame is malformed")


class OneWayReceiver:
    """Listens to one-way senders and keeps what has come of each picture; calls as of `Receiver`.

    A picture is at any time a stream for `heliograph decode --partial`, and takes its name when it is whole.

    Raises:
        LinkError: the key or the counter file cannot be used.
        OutputError: from `receive` and `send`: the disk is full, the folder not writable.
    """

    def __init__(self, store: Store, *, key: bytes | None = None) -> None:
        self._store = store
        self._decoder = FrameDecoder(FrameCoder())
        self._reader = FrameReader(key, store.folder)
        self._open: OrderedDict[bytes, Arriving] = OrderedDict()  # by source and first bytes of SHA-256
        self._whole: deque[bytes] = deque(maxlen=1024)
        self._orphans: OrderedDict[bytes, list[Run]] = OrderedDict()
        self._orphaned = 0
        self._log = Log()
        self._due: float | None = None

    def take_events(self) -> list[Event]:
        """Return what happened since the last call."""
        return self._log.take()

    def disconnected(self, now: float) -> None:
        """The port was lost and is there again."""
        self._decoder.reset()

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that came from the line."""
        for frame in self._decoder.feed(data):
            if isinstance(frame, Corrupt):
                self._log.tell_seldom(now, "noise", frame.reason)
            elif (trouble := self._take(frame)) is not None:
                self._log.tell_seldom(now, "suspect", trouble.reason)
            elif self._due is None:
                self._due = now + SYNC

    def send(self, now: float) -> bytes:
        """Return nothing: nobody listens. Bring what is due to the disk."""
        if self._due is not None and now >= self._due:
            self.close()
            self._due = None
        return b""

    def deadline(self) -> float:
        """Return when `send` must be called."""
        return float("inf") if self._due is None else self._due

    def close(self) -> None:
        """Bring what has come to the disk."""
        self._reader.save()  # first: what is kept must not be accepted again after a crash
        for mark, arriving in list(self._open.items()):
            arriving.sync()
            if arriving.partial.is_whole:
                self._finish(mark, arriving)

    def _take(self, frame: bytes) -> Trouble | None:
        """Take a frame; return why not, if it is not taken."""
        content = self._reader.read(frame)
        if isinstance(content, Trouble):
            return content
        source, data = content
        body = parse(data)
        if isinstance(body, Piece):
            self._take_runs(source + body.stream, body.runs)
            return None
        if body is None or source_of(body.device) != source:
            return _MALFORMED
        return self._take_description(source + body.digest[:STREAM_BYTES], body)

    def _take_runs(self, mark: bytes, runs: Iterable[Run]) -> None:
        if mark in self._open:
            self._open[mark].take(runs)
            self._open.move_to_end(mark)
        elif mark not in self._whole:
            self._keep_orphan(mark, runs)

    def _keep_orphan(self, mark: bytes, runs: Iterable[Run]) -> None:
        self._orphans.setdefault(mark, []).extend(runs)
        self._orphaned += _size(runs)
        while self._orphaned > MAX_ORPHANS:
            _, oldest = self._orphans.popitem(last=False)
            self._orphaned -= _size(oldest)

    def _take_description(self, mark: bytes, body: Description) -> Trouble | None:
        if mark in self._whole:
            return None
        if mark not in self._open:
            shelf = self._store.shelf(body.device)
            name, held = body.name, shelf.holds(body.name)
            if held is not None and not bears(
                name, held
            ):  # else it is that picture, and this perhaps a thinner one
                name = shelf.place(name, body.digest)
                held = shelf.holds(name)
            if held is not None:
                self._whole.append(mark)
                return None
            while len(self._open) >= MAX_OPEN:
                self._open.popitem(last=False)[1].sync()
            self._open[mark] = Arriving(body.device, shelf.open(name, body.size, body.digest))
            self._log.tell("arriving", device=body.device, name=name, bytes=body.size)
            orphans = self._orphans.pop(mark, [])
            self._orphaned -= _size(orphans)
            self._open[mark].take(orphans)
        elif self._open[mark].partial.digest != body.digest:
            return _MALFORMED
        if body.head:
            self._open[mark].take([(0, body.head)])
        return None

    def _finish(self, mark: bytes, arriving: Arriving) -> None:
        partial, shelf = arriving.partial, self._store.shelf(arriving.device)
        del self._open[mark]
        if shelf.finish(partial):
            self._whole.append(mark)
            path = str(shelf.folder / partial.name)
            self._log.tell(
                "received", device=arriving.device, name=partial.name, bytes=partial.size, path=path
            )
        else:
            self._log.tell("suspect", reason=f"{partial.name} did not match its SHA-256 and was let go")


def _size(runs: Iterable[Run]) -> int:
    return sum(len(data) for _, data in runs)
