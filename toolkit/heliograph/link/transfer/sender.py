"""The sender of a transfer: takes bytes and the time, gives bytes; no port, no clock (LINK.md, section 4)."""

from __future__ import annotations

from heliograph.link.listening import Listener
from heliograph.link.transfer.again import Again
from heliograph.link.transfer.outgoing import Flight, Outgoing, Spool, Waiting
from heliograph.link.transfer.pace import Pace
from heliograph.link.transfer.patience import Patience, pause
from heliograph.link.wire import session
from heliograph.link.wire.frames import DELIMITER, FrameCoder, FrameEncoder
from heliograph.link.wire.messages import (
    REJECTED_MANY,
    REJECTED_NOW,
    REJECTIONS,
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
from heliograph.link.wire.names import CANNOT_GO, bears, check_device
from heliograph.link.wire.proofs import is_proof

POLL = 1.0  # seconds between looks into the spool
FIRST_HELLO, LAST_HELLO = 1.0, 5.0  # seconds between hellos, doubling
GIVE_UP_AFTER = 4  # timeouts without an answer that end a session
LOOK_AHEAD = 64  # streams announced before their bytes are due


class Sender(Listener):
    """Sends the streams of a spool, and removes those that the receiver confirmed.

    Call `receive` with bytes that came, `send` for bytes to write until it gives none, and again at `deadline` or
    when bytes come. Times are seconds of any clock that does not go back.

    Raises:
        LinkError: the device name or the key cannot be used.
    """

    def __init__(self, spool: Spool, device: str, *, key: bytes | None = None) -> None:
        coder = FrameCoder()
        super().__init__(coder)
        self._encoder = FrameEncoder(coder)
        self._session = session.Initiator(check_device(device), key)
        self._waiting, self._again = Waiting(spool), Again(spool, self._log)
        self.pace = Pace()
        self._flying: dict[int, Flight] = {}
        self._on_the_way = 0
        self._numbers: dict[int, Outgoing] = {}
        self._next_number = 0
        self._gone: list[int] = []
        self._next_poll = self._next_hello = 0.0
        self._hello_wait = FIRST_HELLO
        self._last_heard = -1e9
        self._silences = 0
        self._was_connected = False
        self._patience = Patience()
        self.refusal: int | None = None  # of the session, and of the last stream that was refused
        self.rejection: int | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a session is open."""
        return self._session.is_open

    @property
    def is_empty(self) -> bool:
        """Whether nothing that can be sent waits; looks into the spool before it says so."""
        if not len(self._waiting):
            self._refresh()
        return not len(self._waiting)

    @property
    def is_paused(self) -> bool:
        """Whether the receiver takes nothing now of what waits; `rejection` says why."""
        is_refused = self._waiting.is_paused or self._patience.is_long
        return is_refused and not any(stream.is_known for stream in self._numbers.values())

    def disconnected(self, now: float) -> None:
        """The port was lost and is there again: bytes in between are gone."""
        super().disconnected(now)
        self._end_session(now)

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that came from the line."""
        for frame in self._frames(data, now):
            content = self._session.take(frame)
            if isinstance(content, session.Packet):
                self._hear(content.message, now)
            elif isinstance(content, session.Welcomed):
                self._begin_session(now)
            elif isinstance(content, session.Reset):
                self._was_reset(now)
            elif isinstance(content, session.Refused):
                self.refusal = content.reason
                why = f"the receiver refuses: {session.REFUSALS[content.reason]}"
                self._log.tell_seldom(now, "refused", reason=why)
            elif isinstance(content, session.Trouble):
                self._log.tell_seldom(now, "suspect", reason=content.reason)

    def send(self, now: float) -> bytes:
        """Return the next bytes to write, one frame or a few small ones; none if it is not the time."""
        if now >= self._next_poll:
            self._next_poll = now + POLL
            self._refresh()
            self._waiting.resume(now)
        if not self._session.is_open:
            return self._hello(now)
        if self._flying and now >= self._silent_at:
            return self._break_silence(now)
        if self._gone:
            return self._pack(Gone(self._gone.pop()), now)
        if self._again.lost:
            return self._pack(Lost(self._again.lost.popleft()), now)
        if self._on_the_way >= self.pace.window:
            return b""
        return self._next(now)

    def deadline(self) -> float:
        """Return when `send` may have something without anything having come."""
        if not self._session.is_open:
            return min(self._next_hello, self._next_poll) if self._wants_session else self._next_poll
        return min(self._next_poll, self._silent_at if self._flying else self._next_poll)

    @property
    def _wants_session(self) -> bool:
        return (
            len(self._waiting) > 0 or not self._was_connected
        )  # the first time at once: a wrong key should show

    @property
    def _silent_at(self) -> float:
        return max(self._encoder.last, self._last_heard) + self.pace.timeout

    def _refresh(self) -> None:
        for name in self._waiting.refresh():
            self._log.tell("skipped", name=name, reason=CANNOT_GO)
        self._drop_vanished()

    def _drop_vanished(self) -> None:
        for stream in self._waiting.vanished:
            if stream.number is not None:
                self._numbers.pop(stream.number, None)
                self._gone.append(stream.number)
            self._log.tell("changed", name=stream.name, reason="the spool thinned or dropped it")
        self._waiting.vanished.clear()

    def _pack(
        self, message: Message, now: float, stream: Outgoing | None = None, start: int = 0, stop: int = 0
    ) -> bytes:
        counter = self._session.next_counter
        if counter == session.LAST_COUNTER:
            self._end_session(now)
            return self._hello(now)
        encoded = self._encoder.encode(self._session.pack(message), now)
        flight = Flight(self.pace.sent(len(encoded), self._on_the_way, now), stream, start, stop)
        self._flying[counter] = flight
        self._on_the_way += len(encoded)
        if stream is not None:
            stream.flying.add(start, stop)
        return encoded

    def _hello(self, now: float) -> bytes:
        if now < self._next_hello or not self._wants_session:
            return b""
        self._next_hello = now + self._hello_wait
        self._hello_wait = min(2 * self._hello_wait, LAST_HELLO)
        return DELIMITER + self._encoder.encode(self._session.hello, now)

    def _begin_session(self, now: float) -> None:
        self.pace.begin()
        self._hello_wait, self._last_heard, self._silences = FIRST_HELLO, now, 0
        self._was_connected = True
        self.refusal = None
        self._log.tell("connected", waiting=len(self._waiting))

    def _end_session(self, now: float) -> None:
        self._session.begin()
        self._flying.clear()
        self._numbers.clear()
        self._gone.clear()
        self._on_the_way = self._next_number = 0
        self._waiting.end_session()
        self._next_hello = now

    def _was_reset(self, now: float) -> None:
        """End the session if the receiver has been silent in it for a timeout.

        Nobody without the session can prove that it is unknown to him, so anybody may say so. But a receiver that knows
        it answers, and is heard.
        """
        if not self._silences:
            return
        self._log.tell_seldom(now, "reset", reason="the receiver was restarted")
        self._end_session(now)

    def _break_silence(self, now: float) -> bytes:
        self._silences += 1
        self.pace.on_silence()
        if self._silences > GIVE_UP_AFTER:
            self._log.tell("silent", seconds=round(now - self._last_heard, 1))
            self._end_session(now)
            return self._hello(now)
        return self._pack(Ping(), now)

    def _next(self, now: float) -> bytes:
        """Return the frame that is most worth sending: of base layers first, announcements a window ahead."""
        for name in self._waiting.finishing:  # all of it has arrived, the confirmation has not
            known = self._waiting.get(name)
            if (
                known
                and not len(known.flying)
                and known.gap(known.size) is None
                and self._may_ask(known, now)
            ):
                return self._ask(known, now)
        for phase in (0, 1):
            ready: Outgoing | None = None
            ahead, is_expecting = 0, False
            for stream in self._waiting.candidates(phase, LOOK_AHEAD):
                if ahead > self.pace.window and ready is not None:
                    break
                if not stream.is_known:
                    if self._may_ask(stream, now):
                        return self._ask(stream, now)
                    is_expecting |= stream.asked == 0 and stream.asked_at is not None
                elif ready is None:
                    ready = stream
                ahead += (stream.size if phase else stream.base) - stream.held.total
            if ready is not None:
                data = self._waiting.read(ready)
                if data is not None:
                    return self._data(ready, data, phase, now)
                self._drop_vanished()
                return self._next(now)
            if (
                is_expecting
            ):  # the answer will tell which bytes of a base layer are due: nothing else goes first
                return b""
        return b""

    def _may_ask(self, stream: Outgoing, now: float) -> bool:
        if stream.asked_at is None:
            return self._patience.may_announce(now)
        wait: float = self.pace.timeout * 2 ** min(stream.asked, 6)
        return now >= stream.asked_at + wait

    def _ask(self, stream: Outgoing, now: float) -> bytes:
        if stream.number is None:
            self._next_number += 1
            stream.number = self._next_number
            self._numbers[stream.number] = stream
        stream.asked = 0 if stream.asked_at is None else stream.asked + 1
        stream.asked_at = now
        message = Announce(stream.number, stream.size, stream.digest, stream.name, stream.another)
        return self._pack(message, now, stream)

    def _data(self, stream: Outgoing, data: bytes, phase: int, now: float) -> bytes:
        gap = stream.gap(stream.size if phase else stream.base)
        assert gap is not None
        assert stream.number is not None
        start, stop = gap
        pieces = -(-(stop - start) // self.pace.payload)
        stop = start + -(-(stop - start) // pieces)  # equal pieces: no small one at the end
        return self._pack(Data(stream.number, start, data[start:stop]), now, stream, start, stop)

    def _hear(self, message: Message, now: float) -> None:
        self._last_heard, self._silences = now, 0
        if isinstance(message, Ack):
            self._acknowledged(message, now)
            return
        if isinstance(message, Want):
            self._again.want(message.picture_id, now)
            self._refresh()
            return
        stream = self._numbers.get(getattr(message, "number", -1))
        if stream is None:
            return
        if isinstance(message, Have):
            self._patience.taken()
            self._learn(stream, message)
        elif isinstance(message, Done):
            self._confirmed(stream, message, now)
        elif isinstance(message, Reject):
            self._rejected(stream, message, now)

    def _rejected(self, stream: Outgoing, message: Reject, now: float) -> None:
        self._numbers.pop(message.number)
        self.rejection = message.reason
        if message.reason == REJECTED_NOW:
            self._log.tell_seldom(now, "paused", reason=REJECTIONS[message.reason])
            self._waiting.pause(stream, self._patience.refused(stream.pauses, now))
            return
        self._log.tell_seldom(now, "rejected", name=stream.name, reason=REJECTIONS[message.reason])
        if self._session.is_keyed and message.reason != REJECTED_MANY:
            self._waiting.set_aside(stream.name)
        else:  # anybody can say so
            self._waiting.pause(stream, now + pause(stream.pauses))

    def _learn(self, stream: Outgoing, message: Have) -> None:
        held = [(start, min(stop, stream.size)) for start, stop in message.ranges]
        stream.held = type(stream.held)(held)
        for start, stop in held:
            stream.flying.remove(start, stop)
        stream.is_known = stream.was_known = True
        stream.asked = stream.pauses = 0
        self._waiting.put_back(stream)

    def _confirmed(self, stream: Outgoing, message: Done, now: float) -> None:
        witness = self._waiting.witness(stream, message.digest)
        if witness is None and not (self._session.is_keyed and bears(stream.name, message.digest)):
            # The receiver holds something else, of which it is not known here that it is the same picture.
            if not stream.another:
                stream.another, stream.asked_at = True, None
            return
        if witness is not None and not is_proof(witness, self._session.nonce, message.proof):
            self._log.tell_seldom(
                now, "suspect", reason="a picture was confirmed by somebody who does not have it"
            )
            return
        self._numbers.pop(message.number)
        self._waiting.remove(stream.name, message.digest)
        self._log.tell("sent", name=stream.name, bytes=stream.size, sha256=message.digest.hex())

    def _acknowledged(self, ack: Ack, now: float) -> None:
        latest = ack.ranges[0][1] - 1
        done = [c for c in self._flying if c <= latest]
        for counter in done:
            flight = self._flying.pop(counter)
            self._on_the_way -= flight.sent.size
            stream = flight.stream
            if any(start <= counter < stop for start, stop in ack.ranges):
                self.pace.acknowledged(flight.sent, now, is_latest=counter == latest)
                if stream is not None:
                    stream.held.add(flight.start, flight.stop)
                    stream.flying.remove(flight.start, flight.stop)
                continue
            self.pace.lost(flight.sent)
            if stream is not None:
                stream.flying.remove(flight.start, flight.stop)
                if flight.start == flight.stop and not stream.is_known:
                    stream.asked_at = None  # the announcement was lost
                self._waiting.put_back(stream)
