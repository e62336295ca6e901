"""The receiver of a transfer: takes bytes and the time, gives bytes, keeps streams in a Store (LINK.md, section 4)."""

from __future__ import annotations

import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable

from heliograph.errors import FolderLostError, NotNowError
from heliograph.link.listening import Listener
from heliograph.link.transfer.ledger import Held
from heliograph.link.transfer.pace import ACK_DELAY
from heliograph.link.transfer.partial import Partial
from heliograph.link.transfer.patience import LAST_PAUSE
from heliograph.link.transfer.ranges import RangeSet
from heliograph.link.transfer.store import Store
from heliograph.link.wire import session
from heliograph.link.wire.frames import FrameCoder, FrameEncoder
from heliograph.link.wire.messages import (
    MAX_RANGES,
    REJECTED_HASH,
    REJECTED_MANY,
    REJECTED_NOW,
    REJECTED_SIZE,
    Ack,
    Announce,
    Data,
    Done,
    Gone,
    Have,
    Lost,
    Message,
    Ping,
    Reject,
    Want,
)
from heliograph.link.wire.names import MAX_STREAM
from heliograph.link.wire.proofs import proof_of

MAX_OPEN = 8192  # announced streams that are not whole
MAX_ANSWERS = 1024  # that wait to be sent; a flood beyond is not answered
MAX_KNOWN = 1024  # arriving streams of which is remembered what is on the disk, so that it is read but once
MAX_UNSYNCED = 16 << 10  # bytes after which an acknowledgement is due at once
MAX_UNACKNOWLEDGED = 16  # packets, likewise
MAX_PENDING = 1 << 20  # bytes in memory, while acknowledgements wait for a slow way back
LOOK = 2.0  # seconds between two looks for pictures that streams refer to and that are not here
ASK_AGAIN = 60.0  # seconds after which such a one is asked for again
MAX_WANTED = 64  # pictures of a session that are asked for
_REMEMBERED = 4096  # packets below the latest whose arrival is still acknowledged
_TRIES = 3  # of a stream whose bytes do not match its SHA-256


class Receiver(Listener):
    """Receives streams into a store, and acknowledges what is on the disk; calls as of `Sender`.

    Args:
        lacks: ids of pictures that streams of a device refer to and that are not here; these are asked for.

    Raises:
        OutputError: from `receive` and `send`: the folder is not writable. What cannot be kept only now is refused.
    """

    def __init__(
        self, store: Store, *, key: bytes | None = None, lacks: Callable[[str], list[bytes]] | None = None
    ) -> None:
        coder = FrameCoder()
        super().__init__(coder)
        self._encoder = FrameEncoder(coder)
        self._store = store
        self._session = session.Responder(key)
        self._device = ""
        self._now = 0.0
        self._open: dict[int, Partial] = {}
        self._by_name: dict[str, int] = {}
        self._refused: dict[str, Partial] = {}  # by name, of which bytes are on the disk
        self._known: OrderedDict[tuple[str, str], Partial] = OrderedDict()  # by device and name
        # By SHA-256 how often it did not match, and until when it is refused then: strangers may have spoilt it.
        self._misses: dict[bytes, tuple[int, float]] = {}
        self._dirty: dict[int, Partial] = {}
        self._unsynced = self._unacknowledged = 0
        self._arrived = RangeSet()
        self._latest = -1
        self._due: float | None = None
        self._answers: deque[bytes] = deque()
        self._lacks = lacks
        self._wanted: dict[bytes, float] = {}  # when it was asked for last; infinity: the sender has lost it
        self._next_look = float("inf")

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that came from the line."""
        self._now = now
        for frame in self._frames(data, now):
            answer, content, is_new = self._session.take(frame)
            if answer is not None:
                self._answer(answer)
            if is_new:
                self._begin_session()
            if isinstance(content, session.Packet):
                self._hear(content, now)
            elif isinstance(content, session.Trouble):
                self._suspect(content.reason)

    def send(self, now: float) -> bytes:
        """Return the next bytes to write, or none."""
        self._now = now
        if not self._answers and self._due is not None and now >= self._due:
            self._acknowledge()
        if not self._answers and now >= self._next_look:
            self._want(now)
        if not self._answers:
            return b""
        return self._encoder.encode(self._answers.popleft(), now)

    def deadline(self) -> float:
        """Return when `send` may have something without anything having come."""
        if self._answers:
            return self._encoder.last
        return self._next_look if self._due is None else min(self._due, self._next_look)

    def close(self) -> None:
        """Bring what has arrived to the disk."""
        self._sync()

    def _answer(self, body: bytes) -> None:
        if len(self._answers) < MAX_ANSWERS:
            self._answers.append(body)

    def _begin_session(self) -> None:
        self._sync()
        self._open.clear()
        self._by_name.clear()
        self._refused.clear()
        self._arrived, self._latest, self._due = RangeSet(), -1, None
        self._unacknowledged = 0
        self._answers.clear()
        self._device = self._session.device
        self._wanted.clear()
        self._next_look = float("inf") if self._lacks is None else self._now
        self._log.tell_seldom(self._now, "connected", device=self._device)

    def _hear(self, packet: session.Packet, now: float) -> None:
        message, is_urgent = packet.message, packet.counter != self._latest + 1
        if isinstance(message, Announce):
            self._announced(message)
        elif isinstance(message, Data):
            if not self._data(message):
                return
            is_urgent |= self._unsynced >= MAX_UNSYNCED
        elif isinstance(message, Gone):
            self._forget(message.number)
        elif isinstance(message, Ping):
            is_urgent = True
        elif isinstance(message, Lost):
            self._lost(message.picture_id)
        else:
            return  # an answer, and answers are ours to give
        self._latest = packet.counter
        self._arrived.add(packet.counter, packet.counter + 1)
        self._arrived.remove(0, packet.counter - _REMEMBERED)
        self._unacknowledged += 1
        if is_urgent or self._unacknowledged >= MAX_UNACKNOWLEDGED:
            self._due = now
        elif self._due is None:
            self._due = now + ACK_DELAY

    def _want(self, now: float) -> None:
        """Ask for pictures that streams of the device refer to and that are not here."""
        self._next_look = now + LOOK
        for picture_id in self._lacks(self._device) if self._lacks else ():
            if picture_id not in self._wanted and len(self._wanted) >= MAX_WANTED:
                continue
            if now >= self._wanted.get(picture_id, -ASK_AGAIN) + ASK_AGAIN:
                self._wanted[picture_id] = now
                self._log.tell_seldom(now, "wanted", device=self._device, picture=picture_id.hex())
                self._send(Want(picture_id))

    def _lost(self, picture_id: bytes) -> None:
        if self._wanted.get(picture_id, float("inf")) != float("inf"):
            self._wanted[picture_id] = float("inf")
            self._log.tell_seldom(self._now, "lost", device=self._device, picture=picture_id.hex())

    def _announced(self, message: Announce) -> None:
        try:
            self._answer_announcement(message)
        except NotNowError as error:
            self._refuse(message.number, error)

    def _answer_announcement(self, message: Announce) -> None:
        shelf = self._store.shelf(self._device)
        name, held = message.name, shelf.holds(message.name) if shelf else None
        if shelf and (held is None or (held.digest != message.digest and message.another)):
            name = shelf.place(message.name, message.digest)
            held = shelf.holds(name)
        if held is not None:
            self._forget(message.number)
            self._confirm(message.number, held)
            return
        misses, until = self._misses.get(message.digest, (0, 0.0))
        is_spoilt = misses >= _TRIES and self._now < until
        if message.size > MAX_STREAM or is_spoilt:
            self._send(Reject(message.number, REJECTED_HASH if is_spoilt else REJECTED_SIZE))
            return
        older = self._by_name.get(name)
        if older is not None and older != message.number:
            self._forget(older)
        partial = self._open.get(message.number)
        if partial is None or (partial.name, partial.digest) != (name, message.digest):
            self._forget(message.number)
            if len(self._open) >= MAX_OPEN:
                self._send(Reject(message.number, REJECTED_MANY))
                return
            partial = self._arriving(name, message)
            self._open[message.number], self._by_name[name] = partial, message.number
            self._refused.pop(name, None)
            if partial.is_whole:  # an earlier process had all of it and ended before giving it its name
                self._finish(message.number, partial)
        elif partial.pending:
            self._sync()
        if message.number in self._open:
            self._send(Have(message.number, tuple(partial.held)[:MAX_RANGES]))

    def _arriving(self, name: str, message: Announce) -> Partial:
        """Return an arriving stream; what is on the disk is read when it is announced first."""
        key = self._device, name
        partial = self._known.pop(key, None)
        if partial is None or (partial.size, partial.digest) != (message.size, message.digest):
            partial = self._store.open(self._device, name, message.size, message.digest)
        self._known[key] = partial
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return partial

    def _data(self, message: Data) -> bool:
        partial = self._open.get(message.number)
        if partial is None or message.offset + len(message.data) > partial.size:
            # Of a stream that became whole: sent twice, and nothing is missing. Else nobody sends this.
            return partial is None
        if not partial.held.covers(message.offset, message.offset + len(message.data)):
            if not partial.write(message.offset, message.data):
                return False
            self._unsynced += len(message.data)
            self._dirty[message.number] = partial
            if self._unsynced >= MAX_PENDING:
                self._sync()
        return True

    def _forget(self, number: int) -> None:
        partial = self._open.pop(number, None)
        self._dirty.pop(number, None)
        if partial is not None:
            partial.pending.clear()
            if self._by_name.get(partial.name) == number:
                del self._by_name[partial.name]

    def _sync(self) -> None:
        dirty, self._dirty, self._unsynced = self._dirty, {}, 0
        for number, partial in dirty.items():
            while self._open.get(number) is partial:
                try:
                    self._store.sync(self._device, partial)
                    if partial.is_whole:
                        self._finish(number, partial)
                    break
                except NotNowError as error:
                    self._make_room(number, partial, error)

    def _make_room(self, number: int, partial: Partial, error: NotNowError) -> None:
        """Give up the youngest stream that is arriving, which its sender still has: else none would ever be whole.

        Where a stream is the youngest itself, what is on the disk of it stays, and its sender waits.
        """
        arriving = self._refused | {other.name: other for other in self._open.values()}
        youngest = max((name for name, other in arriving.items() if other.used), default="")
        if youngest <= partial.name or isinstance(error, FolderLostError):
            self._refused[partial.name] = partial
            self._refuse(number, error)
            return
        with contextlib.suppress(NotNowError):  # what cannot be removed is refused all the same
            self._store.discard(self._device, arriving[youngest])
        if self._refused.pop(youngest, None) is None:
            self._refuse(self._by_name[youngest], error)

    def _refuse(self, number: int, error: NotNowError) -> None:
        self._forget(number)
        self._log.tell_seldom(self._now, "full", reason=str(error))
        self._send(Reject(number, REJECTED_NOW))

    def _finish(self, number: int, partial: Partial) -> None:
        if held := self._store.finish(self._device, partial):
            self._known.pop((self._device, partial.name), None)
            self._forget(number)
            self._confirm(number, held)
            self._log.tell(
                "received",
                device=self._device,
                name=partial.name,
                bytes=partial.size,
                path=str(partial.folder / partial.name),
            )
            return
        if len(self._misses) >= MAX_OPEN:
            self._misses.clear()
        misses = self._misses.get(partial.digest, (0, 0.0))[0] % _TRIES + 1
        self._misses[partial.digest] = misses, self._now + LAST_PAUSE
        if misses < _TRIES:
            self._suspect(f"{partial.name} did not match its SHA-256 and is fetched again")
            self._send(Have(number, ()))
            return
        self._suspect(f"{partial.name} never matched its SHA-256 and is refused")
        self._forget(number)
        self._send(Reject(number, REJECTED_HASH))

    def _confirm(self, number: int, held: Held) -> None:
        self._send(Done(number, held.digest, proof_of(held.witness, self._session.nonce)))

    def _suspect(self, reason: str) -> None:
        self._log.tell_seldom(self._now, "suspect", reason=reason)

    def _send(self, message: Message) -> None:
        self._answer(self._session.pack(message))

    def _acknowledge(self) -> None:
        self._sync()
        ranges = tuple(self._arrived)[::-1][:MAX_RANGES]
        if ranges:
            self._send(Ack(ranges))
        self._due, self._unacknowledged = None, 0
