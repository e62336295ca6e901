"""The link without acknowledgements: a sender that only sends, a receiver that only listens (LINK.md, section 6)."""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heliograph.codec import container
from heliograph.errors import HeliographError, StreamError
from heliograph.link import keys
from heliograph.link.counters import COUNTER_BYTES, SeenCounters, SendingCounter
from heliograph.link.events import Event, Log
from heliograph.link.frames import DELIMITER, Corrupt, FrameCoder, FrameDecoder
from heliograph.link.messages import HASH_BYTES, Illegal, read_varint, varint
from heliograph.link.names import MAX_STREAM, check_device, is_device, is_stream
from heliograph.link.outgoing import Spool
from heliograph.link.ranges import RangeSet
from heliograph.link.spread import Run, pack_runs, parse_runs, spread
from heliograph.link.store import Partial, Store

PLAIN, KEYED = 0x20, 0x21
PICTURE, PIECE = 0x01, 0x02
SOURCE_BYTES = STREAM_BYTES = 4
TOGETHER = 16  # pictures whose base layers go before the refinements of any
POLL = 1.0
SYNC = 0.5  # seconds until bytes that have come are on the disk
MAX_OPEN = 32  # pictures that are arriving
MAX_ORPHANS = 256 << 10  # bytes kept of pictures whose description has not come yet
MAX_HELD = 4 << 20  # bytes kept back behind a hole
COUNTERS = ".beacon-counters"


def source_of(device: str) -> bytes:
    """Return the 4 bytes that stand for a device in a frame."""
    return hashlib.sha256(device.encode("ascii")).digest()[:SOURCE_BYTES]


def picture_body(name: str, device: str, size: int, digest: bytes, head: bytes) -> bytes:
    """Return the description of a stream, with the first bytes of it."""
    texts = b"".join(bytes([len(text)]) + text.encode("ascii") for text in (name, device))
    return bytes([PICTURE]) + varint(size) + digest + texts + head


def piece_body(digest: bytes, runs: list[Run]) -> bytes:
    """Return runs of a stream's bytes."""
    return bytes([PIECE]) + digest[:STREAM_BYTES] + pack_runs(runs)


class BeaconSender:
    """Sends each stream of a spool `repeat` times and removes it then; calls as of `Sender`.

    Within one time the description with the header goes four times, the base layer three times, the rest once.

    Args:
        rate: bytes a second of the line; more is not given out, whatever the port would take.
        counter_file: where the number of the next frame is kept, needed with a key.

    Raises:
        LinkError: the device name, the key or the counter file cannot be used.
    """

    def __init__(
        self,
        spool: Spool,
        device: str,
        *,
        key: bytes | None = None,
        counter_file: Path | None = None,
        repeat: int = 1,
        rate: float = 11520.0,
    ) -> None:
        self._spool, self._device, self._repeat, self._rate = spool, check_device(device), repeat, rate
        self._key = None if key is None else keys.derive(key, b"", "heliograph link 1 beacon")
        if key is not None and counter_file is None:
            raise ValueError("a key needs a counter file")
        self._counter = SendingCounter(counter_file) if key is not None and counter_file else None
        self._coder = FrameCoder()
        self._source = source_of(device)
        self._frames: Iterator[bytes] = iter(())
        self._batch: list[tuple[str, int]] = []
        self._skipped: set[str] = set()
        self._log = Log()
        self._next = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether all was sent."""
        return not self._batch and not [n for n in self._spool.names() if n not in self._skipped]

    def take_events(self) -> list[Event]:
        """Return what happened since the last call."""
        return self._log.take()

    def disconnected(self, now: float) -> None:
        """The port was lost and is there again: the pictures in hand begin anew."""
        self._frames, self._batch = iter(()), []

    def receive(self, data: bytes, now: float) -> None:
        """Take no notice: nobody answers a beacon."""

    def deadline(self) -> float:
        """Return when `send` has something."""
        return self._next

    def send(self, now: float) -> bytes:
        """Return the next frame, or none until `deadline`."""
        if now < self._next:
            return b""
        frame = next(self._frames, None)
        if frame is None:
            self._finish_batch()
            self._frames = self._begin_batch()
            frame = next(self._frames, None)
        if frame is None:
            self._next = now + POLL
            return b""
        self._next = max(self._next, now - 0.05) + len(frame) / self._rate
        return frame

    def _finish_batch(self) -> None:
        for name, size in self._batch:
            self._spool.remove(name)
            self._log.tell("sent", name=name, bytes=size, confirmed=False)
        self._batch = []

    def _begin_batch(self) -> Iterator[bytes]:
        plans: list[tuple[list[bytes], list[bytes]]] = []
        self._batch = []
        for name in self._spool.names():
            if len(plans) == TOGETHER:
                break
            if name in self._skipped:
                continue
            try:
                data = self._spool.read(name)
            except (HeliographError, OSError):
                continue  # gone since
            if not is_stream(name) or not 0 < len(data) <= MAX_STREAM:
                self._skipped.add(name)
                self._log.tell("skipped", name=name, reason="its name or size cannot go over the link")
                continue
            plans.append(self._plan(name, data))
            self._batch.append((name, len(data)))
        bodies = [
            body for _ in range(self._repeat) for part in (0, 1) for plan in plans for body in plan[part]
        ]
        return (self._frame(body, is_first=n == 0) for n, body in enumerate(bodies))

    def _plan(self, name: str, data: bytes) -> tuple[list[bytes], list[bytes]]:
        """Return the frames' bodies of a stream: those that go first, and those that follow later."""
        parts, digest = spread(data), hashlib.sha256(data).digest()
        described = [picture_body(name, self._device, len(data), digest, parts.head)]
        described += [piece_body(digest, runs) for runs in parts.header]
        base = [piece_body(digest, runs) for runs in parts.base]
        rest = [piece_body(digest, runs) for runs in parts.rest]
        half, third = len(rest) // 2, len(base) // 3
        again = (
            base[third:] + base[:third]
        )  # turned, so that what hits in a rhythm does not hit a frame each time
        last = base[2 * third :] + base[: 2 * third]
        return described + base + described, rest[:half] + described + again + rest[half:] + described + last

    def _frame(self, body: bytes, *, is_first: bool) -> bytes:
        if self._key is None or self._counter is None:
            whole = bytes([PLAIN]) + self._source + body
        else:
            number = self._counter.next().to_bytes(COUNTER_BYTES, "little")
            whole = bytes([KEYED]) + self._source + number + body
            whole += keys.tag(self._key, whole)
        encoded = self._coder.encode(whole)
        return DELIMITER + encoded if is_first else encoded


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
                self.is_sliced = container.unpack(head).header.slice_count > 1
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


class BeaconReceiver:
    """Listens to beacons and keeps what has come of each picture; calls as of `Receiver`.

    A picture is at any time a stream for `heliograph decode --partial`, and takes its name when it is whole.

    Raises:
        LinkError: the key or the counter file cannot be used.
        OutputError: from `receive` and `send`: the disk is full, the folder not writable.
    """

    def __init__(self, store: Store, *, key: bytes | None = None) -> None:
        self._store = store
        self._key = None if key is None else keys.derive(key, b"", "heliograph link 1 beacon")
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
            return "a frame is no beacon's; is the sender started with --one-way?"
        if (frame[0] == KEYED) != (self._key is not None):
            return (
                "a beacon has no key and this receiver takes keyed ones only"
                if self._key is not None
                else "a beacon has a key and this receiver none; give --key-file"
            )
        body = frame[at:]
        if self._key is not None and self._seen is not None:
            core = frame[: -keys.TAG_BYTES]
            if len(core) < at + COUNTER_BYTES + 1 or not keys.is_tag(
                self._key, core, frame[-keys.TAG_BYTES :]
            ):
                return "a beacon's key is not the one here, or the frame is forged; use the same key file at both ends"
            number = int.from_bytes(core[at : at + COUNTER_BYTES], "little")
            if not self._seen.accept(source, number):
                return (
                    "a frame came again and is refused; if its device lost its counter file and its clock is wrong, "
                    f"set the clock, or remove {COUNTERS} here"
                )
            body = core[at + COUNTER_BYTES :]
        try:
            return self._take_body(source, body)
        except (Illegal, UnicodeDecodeError):
            return "a beacon's frame is malformed"

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
