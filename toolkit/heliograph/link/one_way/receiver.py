"""The end of a one-way line that only listens (LINK.md, section 6)."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from heliograph.codec import container
from heliograph.codec.varint import read_varint
from heliograph.errors import StreamError
from heliograph.link.events import Event, Log
from heliograph.link.one_way.bodies import (
    KEY_INFO,
    KEYED,
    PICTURE,
    PIECE,
    PLAIN,
    SOURCE_BYTES,
    STREAM_BYTES,
    source_of,
)
from heliograph.link.one_way.counters import COUNTER_BYTES, SeenCounters
from heliograph.link.one_way.cutting import Run, parse_runs
from heliograph.link.transfer.ranges import RangeSet
from heliograph.link.transfer.store import Partial, Store
from heliograph.link.wire import keys
from heliograph.link.wire.frames import Corrupt, FrameCoder, FrameDecoder
from heliograph.link.wire.messages import HASH_BYTES, Illegal
from heliograph.link.wire.names import MAX_STREAM, is_device, is_stream

SYNC = 0.5  # seconds until bytes that have come are on the disk
MAX_OPEN = 32  # pictures that are arriving
MAX_ORPHANS = 256 << 10  # bytes kept of pictures whose description has not come yet
MAX_HELD = 4 << 20  # bytes kept back behind a hole
COUNTERS = ".beacon-counters"


@dataclass
class _Arriving:
    """A picture of which something has come; `held_back` are bytes behind a hole of a stream of one slice."""

    device: str
    partial: Partial
    got: RangeSet
    held_back: list[Run]
    is_sliced: bool | None = None  # None until the header is there

    def take(self, runs: list[Run]) -> int:
        """Take runs; return how many bytes were new."""
        new = 0
        for offset, data in runs:
            stop = offset + len(data)
            if stop <= self.partial.size and not self.got.covers(offset, stop):
                self.got.add(offset, stop)
                self.held_back.append((offset, data))
                new += len(data)
        return new

    def release(self) -> None:
        """Give the partial file what serves a decoder.

        Of a stream of one slice nothing behind a hole can be used, and its file ends at the hole, so that what is
        before it counts to the last byte. In a stream of several slices a hole harms one.
        """
        if self.is_sliced is None and self.got.covers(0, 1):
            start = self.got.first_gap(0, self.partial.size)
            head = _prefix(self.held_back, start[0] if start else self.partial.size)
            try:
                self.is_sliced = container.open(head).header.slice_count > 1
            except StreamError:
                self.is_sliced = False if not head.startswith(container.MAGIC) else None
        hole = self.got.first_gap(0, self.partial.size)
        edge = self.partial.size if hole is None or self.is_sliced else hole[0]
        kept = []
        for offset, data in sorted(self.held_back):
            if offset < edge:
                self.partial.write(offset, data[: edge - offset])
            if offset + len(data) > edge:
                cut = max(edge - offset, 0)
                kept.append((offset + cut, data[cut:]))
        self.held_back = kept


def _prefix(runs: list[Run], stop: int) -> bytes:
    out = bytearray(stop)
    for offset, data in runs:
        if offset < stop:
            out[offset : min(offset + len(data), stop)] = data[: stop - offset]
    return bytes(out)


class OneWayReceiver:
    """Listens to one-way senders and keeps what has come of each picture; calls as of `Receiver`.

    A picture is at any time a stream for `heliograph decode --partial`, and takes its name when it is whole.

    Raises:
        LinkError: the key or the counter file cannot be used.
        OutputError: from `receive` and `send`: the disk is full, the folder not writable.
    """

    def __init__(self, store: Store, *, key: bytes | None = None) -> None:
        self._store = store
        self._key = None if key is None else keys.derive(key, b"", KEY_INFO)
        self._seen = None if key is None else SeenCounters(store.folder / COUNTERS)
        self._decoder = FrameDecoder(FrameCoder())
        self._open: OrderedDict[bytes, _Arriving] = OrderedDict()  # by source and first bytes of SHA-256
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
                self._log.tell_seldom(now, "suspect", trouble)
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
        if self._seen is not None:
            self._seen.save()  # first: what is kept must not be accepted again after a crash
        for mark, arriving in list(self._open.items()):
            arriving.release()
            arriving.partial.sync()
            if arriving.partial.is_whole:
                self._finish(mark, arriving)

    def _take(self, frame: bytes) -> str | None:
        """Take a frame; return why not, if it is not taken."""
        source, at = frame[1 : 1 + SOURCE_BYTES], 1 + SOURCE_BYTES
        if frame[0] not in (PLAIN, KEYED):
            return "a frame is not one-way; is the sender started with --one-way?"
        if (frame[0] == KEYED) != (self._key is not None):
            return (
                "a one-way sender has no key and this receiver takes keyed frames only"
                if self._key is not None
                else "a one-way sender has a key and this receiver none; give --key-file"
            )
        body = frame[at:]
        if self._key is not None and self._seen is not None:
            core = frame[: -keys.TAG_BYTES]
            if len(core) < at + COUNTER_BYTES + 1 or not keys.is_tag(
                self._key, core, frame[-keys.TAG_BYTES :]
            ):
                return (
                    "a one-way sender's key is not the one here, or the frame is forged; "
                    "use the same key file at both ends"
                )
            number = int.from_bytes(core[at : at + COUNTER_BYTES], "little")
            if not self._seen.accept(source, number):
                return (
                    "a frame came again and is refused; if its device lost its counter file and its clock is wrong, "
                    f"set the clock, or remove {COUNTERS} here"
                )
            body = core[at + COUNTER_BYTES :]
        try:
            return self._take_body(source, body)
        except ValueError:  # Illegal, or what is no number and no ASCII
            return "a one-way frame is malformed"

    def _take_body(self, source: bytes, body: bytes) -> str | None:
        if body[:1] == bytes([PICTURE]):
            return self._picture(source, body)
        if body[:1] != bytes([PIECE]) or len(body) < 1 + STREAM_BYTES:
            raise Illegal("kind")
        mark = source + body[1 : 1 + STREAM_BYTES]
        runs = parse_runs(body[1 + STREAM_BYTES :])
        if mark in self._open:
            arriving = self._open[mark]
            self._open.move_to_end(mark)
            if sum(len(data) for _, data in arriving.held_back) < MAX_HELD:
                arriving.take(runs)
        elif mark not in self._whole:
            self._keep_orphan(mark, runs)
        return None

    def _keep_orphan(self, mark: bytes, runs: list[Run]) -> None:
        self._orphans.setdefault(mark, []).extend(runs)
        self._orphaned += sum(len(data) for _, data in runs)
        while self._orphaned > MAX_ORPHANS:
            _, old = self._orphans.popitem(last=False)
            self._orphaned -= sum(len(data) for _, data in old)

    def _picture(self, source: bytes, body: bytes) -> str | None:
        size, at = read_varint(body, 1)
        digest, at = body[at : at + HASH_BYTES], at + HASH_BYTES
        texts = []
        for _ in range(2):
            if at >= len(body):
                raise Illegal("cut")
            end = at + 1 + body[at]
            texts.append(body[at + 1 : end].decode("ascii"))
            at = end
        name, device = texts
        head = body[at:]
        if at > len(body) or not is_stream(name) or not is_device(device) or source_of(device) != source:
            raise Illegal("names")
        if not 0 < size <= MAX_STREAM or len(head) > size:
            raise Illegal("size")
        mark = source + digest[:STREAM_BYTES]
        if mark in self._whole:
            return None
        if mark not in self._open:
            shelf = self._store.shelf(device)
            if shelf.holds(name) is not None:
                self._whole.append(mark)
                return None
            while len(self._open) >= MAX_OPEN:
                _, oldest = self._open.popitem(last=False)
                oldest.release()
                oldest.partial.sync()
            partial = shelf.open(name, size, digest)
            self._open[mark] = _Arriving(device, partial, RangeSet(partial.held), [])
            self._log.tell("arriving", device=device, name=name, bytes=size)
            orphans = self._orphans.pop(mark, [])
            self._orphaned -= sum(len(data) for _, data in orphans)
            self._open[mark].take(orphans)
        elif self._open[mark].partial.digest != digest:
            raise Illegal("digest")
        if head:
            self._open[mark].take([(0, head)])
        return None

    def _finish(self, mark: bytes, arriving: _Arriving) -> None:
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
