"""The end of a one-way line that sends (LINK.md, section 6)."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.registry import Registry
from heliograph.errors import HeliographError, PacketError
from heliograph.link.listening import Listener
from heliograph.link.one_way.frames import PACKET, WORD, label_of, packet_key
from heliograph.link.transfer.outgoing import Spool
from heliograph.link.wire.frames import FrameCoder, FrameEncoder
from heliograph.link.wire.names import CANNOT_GO, MAX_STREAM, check_device, is_stream
from heliograph.packets import packet, word
from heliograph.packets.erasure import PLACES
from heliograph.packets.fitting import plan_for
from heliograph.packets.loss import Losses
from heliograph.packets.numbers import PictureNumbers
from heliograph.packets.packetizer import Packetizer

POLL = 1.0
PACKET_BYTES = 256
LOSSES = Losses(0.1)
KEPT = 16  # pictures that were sent, of which more packets can be had
KEPT_BYTES = 8 << 20
MOST_PIXELS = 4_000_000  # of a picture whose beginnings are decoded to see what they are worth
SPARE = 2  # times the packets of a picture that go at most, if there is nothing else to send


@dataclass
class _Sending:
    """A picture that goes or went: packets of each part that are planned, and the next place."""

    name: str
    packets: Packetizer
    planned: int
    next: int = 0
    part: int = 0

    def take(self) -> bytes:
        """Return the next packet, of each part in turn; after the last place comes the first."""
        made = self.packets.packet(self.next % PLACES, self.part)
        self.part = (self.part + 1) % self.packets.plan.parts
        self.next += self.part == 0
        return made


class OneWaySender(Listener):
    """Sends each stream of a spool in packets and removes it then; calls as of `Sender`.

    What a word back asks for goes first, then what waits in the spool; spare time goes to more packets of the newest
    pictures.

    Args:
        numbers: of the device's pictures.
        losses: what the line is said to do to packets.
        rate: bytes a second of the line; more is not given out, whatever the port would take.
        spares: use spare time.

    Raises:
        LinkError: the device name cannot be used.
        PacketError: packets cannot have this size.
        OutputError: from `send`, the file of numbers cannot be written.
    """

    def __init__(
        self,
        spool: Spool,
        device: str,
        *,
        numbers: PictureNumbers,
        key: bytes | None = None,
        losses: Losses = LOSSES,
        packet_bytes: int = PACKET_BYTES,
        rate: float = 11520.0,
        spares: bool = True,
    ) -> None:
        coder = FrameCoder()
        super().__init__(coder)
        self._spool, self._device, self._numbers, self._rate = spool, check_device(device), numbers, rate
        self._number, self._key = packet.device_number(device), packet_key(key)
        self._losses, self._carried = losses, packet.carried(packet_bytes, self._key)
        self._frames_out, self._registry, self._spares = FrameEncoder(coder), Registry(), spares
        self._now: _Sending | None = None
        self._sent: OrderedDict[int, _Sending] = OrderedDict()  # by the picture's number, the newest last
        self._asked: deque[_Sending] = deque()
        self._skipped: set[str] = set()
        self._next = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether all was sent."""
        return not (self._now or self._asked or [n for n in self._spool.names() if n not in self._skipped])

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that came back."""
        for frame in self._frames(data, now):
            said = word.read(frame[1:], self._number, self._key) if frame[0] == WORD else None
            if said is None:
                self._log.tell_seldom(now, "suspect", reason="a frame is no word back to this device")
            elif (sent := self._sent_as(said.picture)) is not None:
                count = min(said.count, PLACES - len(self._asked))  # of all who ask at once
                self._asked.extend([sent] * max(count, 0))
                self._next = min(self._next, now)
                self._log.tell_seldom(now, "asked", name=sent.name, packets=said.count)

    def deadline(self) -> float:
        """Return when `send` has something."""
        return self._next

    def send(self, now: float) -> bytes:
        """Return the next frame, or none until `deadline`."""
        if now < self._next:
            return b""
        made = self._packet()
        if made is None:
            self._next = now + POLL
            return b""
        frame = self._frames_out.encode(bytes([PACKET]) + made, now)
        self._next = max(self._next, now - 0.05) + len(frame) / self._rate
        return frame

    def _packet(self) -> bytes | None:
        if self._asked:
            return self._asked.popleft().take()
        if self._now is None:
            self._now = next(self._waiting(), None)
        if self._now is not None:
            made = self._now.take()
            if self._now.next >= self._now.planned:
                self._finish(self._now)
                self._now = None
            return made
        spare = [one for one in self._sent.values() if one.next < min(SPARE * one.planned, PLACES)]
        if not self._spares or not spare:
            return None
        return min(reversed(spare), key=lambda one: one.next / one.planned).take()

    def _finish(self, sending: _Sending) -> None:
        plan = sending.packets.plan
        self._spool.remove(sending.name, sending.packets.digest, is_confirmed=False)
        told = {
            "picture": sending.packets.picture,
            "packets": sending.planned * plan.parts,
            "confirmed": False,
        }
        self._log.tell("sent", name=sending.name, bytes=plan.size, **told)
        self._sent[sending.packets.picture] = sending
        while len(self._sent) > KEPT or (
            len(self._sent) > 1 and sum(one.packets.plan.size for one in self._sent.values()) > KEPT_BYTES
        ):
            self._sent.popitem(last=False)

    def _sent_as(self, number: int) -> _Sending | None:
        sending = [*self._sent.values(), *([self._now] if self._now else [])]
        for one in sending:
            if 0 <= number - one.packets.picture < one.packets.plan.parts:
                return one
        return None

    def _waiting(self) -> Iterator[_Sending]:
        """Yield the first stream of the spool that can go, planned."""
        for name in self._spool.names():
            if name in self._skipped:
                continue
            try:
                data = self._spool.read(name)
            except (HeliographError, OSError):
                continue  # gone since
            reason = CANNOT_GO
            if is_stream(name) and 0 < len(data) <= MAX_STREAM:
                try:
                    yield self._planned(name, data)
                    return
                except PacketError as error:
                    reason = str(error)
            self._skipped.add(name)
            self._log.tell("skipped", name=name, reason=reason)

    def _planned(self, name: str, data: bytes) -> _Sending:
        label = label_of(self._device, name)
        plan, count = plan_for(data, self._codec_of(data), self._carried, self._losses, label=label)
        number = self._numbers.take(plan.parts)
        return _Sending(name, Packetizer(data, plan, self._number, number, key=self._key), count)

    def _codec_of(self, data: bytes) -> Codec | None:
        """Return the codec whose values say what a stream's beginning is worth, if that is soon found."""
        try:
            header = container.open(data).header
            is_quick = not header.reference and header.width * header.height <= MOST_PIXELS
            return self._registry.by_id(header.codec_id) if is_quick else None
        except HeliographError:
            return None
