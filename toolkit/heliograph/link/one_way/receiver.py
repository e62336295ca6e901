"""The end of a one-way line that listens, on one port or several (LINK.md, section 6)."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from heliograph.errors import NotNowError
from heliograph.link.events import Event
from heliograph.link.listening import Listener
from heliograph.link.one_way.asking import Asking
from heliograph.link.one_way.frames import PACKET, label_of, packet_key
from heliograph.link.one_way.journal import Journal
from heliograph.link.transfer.partial import Partial
from heliograph.link.transfer.store import Store
from heliograph.link.wire.names import bears, is_device, is_stream
from heliograph.packets.collector import Arrived, Collector, Name
from heliograph.packets.packet import device_number

SYNC = 0.5  # seconds until what has come is on the disk
MAX_OPEN = 32  # pictures whose beginning is on the disk, that are looked after
SLACK = 4 << 20  # bytes of packets in the journal that are of no use any more


class OneWayReceiver(Listener):
    """Listens to one-way senders and keeps the best stream of each picture; calls as of `Receiver`.

    What has come of a picture is at any time a stream for `heliograph decode --partial`, and takes its name when it is
    whole. Its methods and those of the ears on other ports may be called in several threads.

    Args:
        asks: say what is missing, over a line that goes back too.

    Raises:
        OutputError: from `receive` and `send`: the folder is not writable. What has no room now waits.
    """

    def __init__(self, store: Store, *, key: bytes | None = None, asks: bool = False) -> None:
        super().__init__()
        self._store = store
        self._collector = Collector(packet_key(key))
        self._journal = Journal(store.folder)
        self._asking = Asking(self._collector, packet_key(key)) if asks else None
        self._partials: OrderedDict[Name, Partial] = OrderedDict()
        self._waiting: dict[Name, None] = {}  # that are better than what is on the disk
        self._lock = threading.RLock()
        self._due: float | None = None
        self._now = 0.0
        for packet in self._journal.load():
            self._collector.take(packet)

    def ear(self) -> Ear:
        """Return an end for another port on which packets of the same pictures are heard."""
        return Ear(self)

    def take_events(self) -> list[Event]:
        """Return what happened since the last call."""
        with self._lock:
            return super().take_events()

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that came from the line."""
        with self._lock:
            for frame in self._frames(data, now):
                self.take(frame, now)

    def take(self, frame: bytes, now: float) -> None:
        """Take a frame."""
        with self._lock:
            self._now = now
            if frame[0] != PACKET:
                reason = "a frame is not one-way; is the sender started with --one-way?"
                self._log.tell_seldom(now, "suspect", reason=reason)
                return
            refused = self._collector.refused
            if self._collector.take(frame[1:]):
                self._journal.add(frame[1:])
                if self._asking:
                    self._asking.heard(frame[1:], now)
                if self._due is None:
                    self._due = now + SYNC
            elif self._collector.refused > refused:
                reason = "a packet is damaged, of another key or of none, or of no picture; use one key at both ends"
                self._log.tell_seldom(now, "suspect", reason=reason)

    def send(self, now: float) -> bytes:
        """Bring what is due to the disk; return a word back, if it is time for one."""
        with self._lock:
            self._now = now
            if self._due is not None and now >= self._due:
                self._due = None
                self.close()
            return self._asking.send(now) if self._asking else b""

    def deadline(self) -> float:
        """Return when `send` must be called."""
        due = float("inf") if self._due is None else self._due
        return min(due, self._asking.deadline()) if self._asking else due

    def close(self) -> None:
        """Bring what has come to the disk; what it has no room for is tried again."""
        with self._lock:
            try:
                self._journal.sync()
            except NotNowError as error:
                self._wait(error)
            self._waiting |= dict.fromkeys(self._collector.better())
            for name in list(self._waiting):
                try:
                    self._keep(name)
                    del self._waiting[name]
                except NotNowError as error:
                    self._wait(error)
            if self._journal.size > 2 * self._collector.held + SLACK or not self._collector.held:
                self._journal.rewrite(self._collector.packets())

    def _wait(self, error: NotNowError) -> None:
        self._log.tell_seldom(self._now, "full", reason=str(error))
        self._due = self._now + SYNC

    def _keep(self, name: Name) -> None:
        """Bring the best stream of a picture to the disk."""
        arrived = self._collector.best(name)
        if arrived is None:
            return
        device, stream = _named(arrived)
        if device_number(device) != arrived.device and arrived.label:
            self._log.tell_seldom(
                self._now, "suspect", reason=f"a picture says it is of {device}, its packets do not"
            )
            self._collector.finish(name)
        elif arrived.is_whole:
            self._finish(name, arrived, device, stream)
        else:
            self._grow(name, arrived, device, stream)

    def _grow(self, name: Name, arrived: Arrived, device: str, stream: str) -> None:
        partial = self._partials.get(name)
        if partial is None:
            shelf = self._store.shelf(device)
            if shelf is not None and shelf.holds(stream) is not None:
                return  # whole already, or another picture of that name: what is whole stays
            # The stream's SHA-256 is not known before all of it is there; this one says which beginning it is.
            mark = f"{arrived.device} {arrived.picture} {arrived.size} {arrived.crc}".encode()
            partial = self._store.open(device, stream, arrived.size, hashlib.sha256(mark).digest())
            self._partials[name] = partial
            if len(self._partials) > MAX_OPEN:
                self._partials.popitem(last=False)
            told = {"bytes": arrived.size, "picture": arrived.picture}
            self._log.tell_seldom(self._now, "arriving", device=device, name=stream, **told)
        known = partial.held.total
        if len(arrived.stream) > known and not partial.pending:
            partial.write(known, arrived.stream[known:])
        self._store.sync(device, partial)

    def _finish(self, name: Name, arrived: Arrived, device: str, stream: str) -> None:
        digest = hashlib.sha256(arrived.stream).digest()
        place, shelf = stream, self._store.shelf(device)
        if shelf is not None:
            held = shelf.holds(stream)
            is_there = held is not None and bears(stream, held.digest)  # and this is perhaps a thinner one
            place = stream if is_there else shelf.place(stream, digest)
            if shelf.holds(place) is not None:
                self._collector.finish(name)
                return
        beginning = self._partials.get(name)
        if beginning is not None and place != stream:
            self._store.discard(device, beginning)
        partial = self._store.open(device, place, arrived.size, digest)
        partial.write(0, arrived.stream)
        self._store.sync(device, partial)
        if self._store.finish(device, partial) is None:
            raise NotNowError(f"{partial.data_path} was changed by something else; it is written again")
        self._partials.pop(name, None)
        self._collector.finish(name)
        told = {"bytes": arrived.size, "picture": arrived.picture, "path": str(partial.folder / place)}
        self._log.tell("received", device=device, name=place, **told)


class Ear(Listener):
    """An end on another port; what it hears counts as heard by the receiver, which does all else."""

    def __init__(self, receiver: OneWayReceiver) -> None:
        super().__init__()
        self._receiver = receiver

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that came from the line."""
        for frame in self._frames(data, now):
            self._receiver.take(frame, now)

    def send(self, now: float) -> bytes:
        """Return nothing: one port is enough for words back."""
        return b""

    def deadline(self) -> float:
        """Return when `send` must be called: never."""
        return float("inf")


def _named(arrived: Arrived) -> tuple[str, str]:
    """Return device and name of a stream: what its label says, or its numbers."""
    device, _, name = arrived.label.partition("/")
    if is_device(device) and is_stream(f"{name}.helio") and label_of(device, name) == arrived.label:
        return device, f"{name}.helio"
    return f"device-{arrived.device:05d}", f"{arrived.picture:09d}.helio"
