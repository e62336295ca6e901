"""The end of a one-way line that only listens (LINK.md, section 6)."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable

from heliograph.errors import NotNowError
from heliograph.link.listening import Listener
from heliograph.link.one_way.arriving import Arriving
from heliograph.link.one_way.bodies import STREAM_BYTES, Description, Piece, Run, parse
from heliograph.link.one_way.frames import FrameReader, source_of
from heliograph.link.transfer.store import Store
from heliograph.link.wire.names import bears
from heliograph.link.wire.session import Trouble

SYNC = 0.5  # seconds until bytes that have come are on the disk
MAX_OPEN = 32  # pictures that are arriving
MAX_ORPHANS = 256 << 10  # bytes kept of pictures whose description has not come yet
_MALFORMED = Trouble("a one-way frame is malformed")


class OneWayReceiver(Listener):
    """Listens to one-way senders and keeps what has come of each picture; calls as of `Receiver`.

    A picture is at any time a stream for `heliograph decode --partial`, and takes its name when it is whole.

    Raises:
        LinkError: the key or the counter file cannot be used.
        OutputError: from `receive` and `send`: the folder is not writable. What has no room now waits.
    """

    def __init__(self, store: Store, *, key: bytes | None = None) -> None:
        super().__init__()
        self._store = store
        self._reader = FrameReader(key, store.folder)
        self._open: OrderedDict[bytes, Arriving] = OrderedDict()  # by source and first bytes of SHA-256
        self._whole: deque[bytes] = deque(maxlen=1024)
        self._orphans: OrderedDict[bytes, list[Run]] = OrderedDict()
        self._orphaned = 0
        self._due: float | None = None
        self._now = 0.0

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that came from the line."""
        self._now = now
        for frame in self._frames(data, now):
            if (trouble := self._take(frame)) is not None:
                self._log.tell_seldom(now, "suspect", reason=trouble.reason)
            elif self._due is None:
                self._due = now + SYNC

    def send(self, now: float) -> bytes:
        """Return nothing: nobody listens. Bring what is due to the disk."""
        self._now = now
        if self._due is not None and now >= self._due:
            self._due = None
            self.close()
        return b""

    def deadline(self) -> float:
        """Return when `send` must be called."""
        return float("inf") if self._due is None else self._due

    def close(self) -> None:
        """Bring what has come to the disk; what it has no room for is tried again."""
        try:
            self._reader.save()  # first: what is kept must not be accepted again after a crash
        except NotNowError as error:
            self._wait(error)
            return
        for mark in list(self._open):
            self._sync(mark)

    def _sync(self, mark: bytes) -> None:
        arriving = self._open[mark]
        arriving.write()
        try:
            self._store.sync(arriving.device, arriving.partial)
            if arriving.partial.is_whole:
                self._finish(mark, arriving)
        except NotNowError as error:
            self._wait(error)

    def _wait(self, error: NotNowError) -> None:
        self._log.tell_seldom(self._now, "full", reason=str(error))
        self._due = self._now + SYNC

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
        try:
            return self._take_description(source + body.digest[:STREAM_BYTES], body)
        except NotNowError as error:
            self._wait(error)
            return None

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
            name, is_held = self._place(body)
            if is_held:
                self._whole.append(mark)
                return None
            arriving = Arriving(body.device, self._store.open(body.device, name, body.size, body.digest))
            while len(self._open) >= MAX_OPEN:
                oldest = next(iter(self._open))
                self._sync(oldest)
                self._open.pop(oldest, None)
            self._open[mark] = arriving
            self._log.tell_seldom(self._now, "arriving", device=body.device, name=name, bytes=body.size)
            orphans = self._orphans.pop(mark, [])
            self._orphaned -= _size(orphans)
            self._open[mark].take(orphans)
        elif self._open[mark].partial.digest != body.digest:
            return _MALFORMED
        if body.head:
            self._open[mark].take([(0, body.head)])
        return None

    def _place(self, body: Description) -> tuple[str, bool]:
        """Return the name that a stream is kept under, and whether it is there, or the picture it is named for."""
        others = {a.partial.name for a in self._open.values() if a.device == body.device}
        if (shelf := self._store.shelf(body.device)) is None:
            if body.name in others:
                raise NotNowError(
                    f"{body.name} of device {body.device} arrives as another picture, of which nothing is on the disk "
                    "yet; it is taken when its description comes again"
                )
            return body.name, False
        held = shelf.holds(body.name)
        if held is not None and bears(body.name, held.digest):  # and this is perhaps a thinner one
            return body.name, True
        name = shelf.place(body.name, body.digest, others)
        return name, shelf.holds(name) is not None

    def _finish(self, mark: bytes, arriving: Arriving) -> None:
        partial = arriving.partial
        held = self._store.finish(arriving.device, partial)
        del self._open[mark]
        if held is not None:
            self._whole.append(mark)
            path = str(partial.folder / partial.name)
            self._log.tell(
                "received", device=arriving.device, name=partial.name, bytes=partial.size, path=path
            )
        else:
            reason = f"{partial.name} did not match its SHA-256 and was let go"
            self._log.tell_seldom(self._now, "suspect", reason=reason)


def _size(runs: Iterable[Run]) -> int:
    return sum(len(data) for _, data in runs)
