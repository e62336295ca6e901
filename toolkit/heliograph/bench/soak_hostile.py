"""A hostile neighbour: hears and writes all of a line, has no key, and floods with all that it can make.

On a line without keys it does not do what SECURITY.md says is not kept out: it confirms no picture whose bytes it
heard, and uses up no honest device's quota.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Generator
from itertools import count

from heliograph.link.wire import messages, session
from heliograph.link.wire.frames import DELIMITER, FrameCoder, FrameDecoder
from heliograph.link.wire.messages import Ack, Announce, Data, Done, Gone, Have, Message, Ping, Reject
from heliograph.link.wire.names import MAX_STREAM
from heliograph.link.wire.proofs import PROOF_BYTES

SHORTEST, LONGEST = 2.0, 10.0  # seconds of a flood
_PATIENCE = 50  # tries without an open session
Frames = Generator[bytes, None, None]


class Hostile:
    """Floods of a few seconds, one kind after the other, rests of about `every`; takes a `share` of a line's rate.

    Attributes:
        floods: how many there were.
        written: bytes, in both directions.
    """

    def __init__(
        self, victims: list[str], *, rate: float, share: float, every: float, begin: float, seed: int
    ) -> None:
        self._victims, self._rate, self._every = victims, share * rate, every
        self._draw = random.Random(seed)
        self._coder = FrameCoder()
        self._up, self._down = FrameDecoder(self._coder), FrameDecoder(self._coder)
        self._heard: deque[bytes] = deque(maxlen=400)  # frame bodies of devices
        self._said: deque[bytes] = deque(maxlen=400)  # and of the receiver
        self._announced: deque[Announce] = deque([Announce(1, 1, bytes(32), "a.helio")], maxlen=20)
        self._session = session.Initiator("hostile", None)
        self._kinds: tuple[Callable[[], Frames], ...] = (
            self._noise,
            self._strange_frames,
            self._hellos,
            self._many_devices,
            self._announcements,
            self._sparse,
            self._in_others_names,
            self._replays,
            self._forged_packets,
            self._forged_answers,
        )
        self._number = self._draw.randrange(len(self._kinds))
        self._flood: Frames | None = None
        self._begin, self._end, self._paid = begin, begin, begin
        self._is_down = False
        self.floods = self.written = 0

    def overhear(self, data: bytes) -> None:
        """Hear the receiver."""
        for body in self._down.feed(data):
            if isinstance(body, bytes):
                self._session.take(body)
                self._said.append(body)

    def overhear_up(self, data: bytes) -> None:
        """Hear a device."""
        for body in self._up.feed(data):
            if isinstance(body, bytes):
                self._heard.append(body)
                message = messages.parse(body[session.PACKET_BYTES :])
                if isinstance(message, Announce):
                    self._announced.append(message)

    def deadline(self) -> float:
        """Return when there may be something to write."""
        return max(self._paid, self._begin)

    def send(self, now: float) -> bytes:
        """Return what to write to the receiver now."""
        return b"" if self._is_down else self._next(now)

    def send_down(self, now: float) -> bytes:
        """Return what to write to the devices now, in the receiver's place."""
        return self._next(now) if self._is_down else b""

    def _next(self, now: float) -> bytes:
        if now < self._begin or now < self._paid:
            return b""
        if self._flood is None:
            kind = self._kinds[self._number % len(self._kinds)]
            self._flood, self._is_down = kind(), kind == self._forged_answers
            self._number += 1
            self.floods += 1
            self._end = now + self._draw.uniform(SHORTEST, LONGEST)
            return b""
        data = next(self._flood, None)
        if data is None or now >= self._end:
            self._flood, self._is_down = None, False
            self._begin = now + self._draw.uniform(0.5, 1.5) * self._every
            return b""
        self._paid = now + max(len(data), 20) / self._rate
        self.written += len(data)
        return data

    def _frame(self, body: bytes) -> bytes:
        return DELIMITER + self._coder.encode(body[:2048])

    def _say(self, message: Message) -> bytes:
        return self._frame(self._session.pack(message))

    def _open(self, device: str) -> Frames:
        """Say hello until there is a session, or for a while."""
        self._session = session.Initiator(device, None)
        for tries in range(_PATIENCE):
            if self._session.is_open:
                break
            yield self._frame(self._session.hello) if tries % 10 == 0 else b""

    def _digest(self) -> bytes:
        return self._draw.randbytes(32)

    def _stranger(self) -> str:
        return f"stranger-{self._draw.randrange(1 << 30):x}"

    def _noise(self) -> Frames:
        while True:
            yield self._draw.choice(
                (self._draw.randbytes(300), bytes(300), b"\x01" * 3000, b"\xff" * 3000, b"\x02\x00" * 200)
            )

    def _strange_frames(self) -> Frames:
        kinds = (*range(0x00, 0x30), 0xFF)
        while True:
            yield self._frame(
                bytes([self._draw.choice(kinds)])
                + self._draw.randbytes(self._draw.choice((0, 2, 6, 40, 2000)))
            )

    def _hellos(self) -> Frames:
        names = ("a" * 32, "", "../up", "cam\0", "x" * 250)
        while True:
            name = self._draw.choice((*names, self._stranger(), self._draw.choice(self._victims)))
            key = self._draw.choice((None, self._digest()))
            yield self._frame(session.hello_body(name[:255], self._draw.randbytes(16), key))

    def _many_devices(self) -> Frames:
        while True:
            yield from self._open(self._stranger())
            if not self._session.is_open:
                return
            yield self._say(Announce(1, 900, self._digest(), "a.helio"))
            yield self._say(Data(1, 0, self._draw.randbytes(300)))
            yield self._say(Ping())

    def _announcements(self) -> Frames:
        yield from self._open(self._stranger())
        for number in count(1):
            if not self._session.is_open:
                return
            name = f"{self._draw.randrange(1 << 40):x}.helio"
            yield self._say(
                Announce(number % (1 << 27), self._draw.randint(1, MAX_STREAM), self._digest(), name)
            )

    def _sparse(self) -> Frames:
        yield from self._open("sparse")
        for number in count(1):
            if not self._session.is_open:
                return
            yield self._say(Announce(number, MAX_STREAM, bytes(32), "sparse.helio"))
            for _ in range(20):
                yield self._say(Data(number, self._draw.randrange(MAX_STREAM), b"x"))

    def _in_others_names(self) -> Frames:
        """End sessions by new ones in honest names, and take the names of pictures for others."""
        for number in count(1):
            yield from self._open(self._draw.choice(self._victims))
            if not self._session.is_open:
                return
            name = self._draw.choice(self._announced).name
            yield self._say(Announce(number, 900, self._digest(), name, bool(number % 2)))
            yield self._say(Gone(number - 1))
            yield self._say(Ping())

    def _replays(self) -> Frames:
        while self._heard:
            yield self._frame(self._draw.choice(list(self._heard)))

    def _forged_packets(self) -> Frames:
        """Packets in the devices' sessions, with counters that are due: without keys they count."""
        while self._heard:
            body = self._draw.choice(list(self._heard)[-20:])
            if len(body) < session.PACKET_BYTES or body[0] not in (session.UP, session.UP + 1):
                body = session.PACKET.pack(session.UP, self._draw.randrange(1 << 16), 0)
            kind, number, counter = session.PACKET.unpack_from(body)
            target = self._draw.choice(self._announced)
            said = self._draw.choice(
                (
                    Data(target.number, self._draw.randrange(target.size), self._draw.randbytes(60)),
                    Gone(target.number),
                    Announce(target.number, 5000, self._digest(), "forged.helio"),
                    Ping(),
                )
            )
            ahead = self._draw.choice((1, 1, 1, 2, 1000, (1 << 31)))
            yield self._frame(
                session.PACKET.pack(kind, number, min(counter + ahead, session.LAST_COUNTER))
                + said.to_bytes()
            )

    def _forged_answers(self) -> Frames:
        """In the receiver's place: rejections, confirmations without a proof, acknowledgements of what never came."""
        while self._said:
            body = self._draw.choice(list(self._said)[-20:])
            if len(body) < session.PACKET_BYTES or body[0] not in (session.DOWN, session.DOWN + 1):
                body = session.PACKET.pack(session.DOWN, self._draw.randrange(1 << 16), 0)
            kind, session_number, counter = session.PACKET.unpack_from(body)
            number = self._draw.choice(self._announced).number
            said = self._draw.choice(
                (
                    Reject(number, self._draw.randint(1, 4)),
                    Done(number, self._digest(), self._draw.randbytes(PROOF_BYTES)),
                    Have(number, ((0, self._draw.randint(1, 9000)),)),
                    Ack(((0, counter + 1),)),
                )
            )
            head = session.PACKET.pack(kind, session_number, min(counter + 1, session.LAST_COUNTER))
            yield self._frame(head + said.to_bytes())
            yield self._frame(bytes([session.UNKNOWN]) + session_number.to_bytes(2, "little"))
            nonce, answer = self._draw.randbytes(16), self._draw.randbytes(16)
            yield self._frame(session.welcome_body(b"", nonce, answer, session_number, None))
