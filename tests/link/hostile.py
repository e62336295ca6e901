"""A sender that keeps to the frames and to nothing else: what tests of hostile messages speak with."""

from __future__ import annotations

from typing import Any

from heliograph.link.wire import messages
from heliograph.link.wire.frames import FrameCoder, FrameDecoder
from heliograph.link.wire.messages import Message
from heliograph.link.wire.session import Initiator


class Speaker:
    """Speaks with a receiver at any time `now`; `sent` counts its bytes on the line."""

    def __init__(self, receiver: Any, device: str = "cam", *, now: float = 0.0) -> None:
        self.receiver, self.now, self.sent = receiver, now, 0
        self._coder = FrameCoder()
        self._decoder = FrameDecoder(self._coder)
        self.session = Initiator(device, None)
        self.say_body(self.session.hello)
        while data := receiver.send(now):
            for body in self._decoder.feed(data):
                assert isinstance(body, bytes)
                self.session.take(body)
        assert self.session.is_open

    def say_body(self, body: bytes) -> None:
        frame = self._coder.encode(body)
        self.sent += len(frame)
        self.receiver.receive(frame, self.now)

    def say(self, *said: Message) -> None:
        for message in said:
            self.say_body(self.session.pack(message))

    def hear(self) -> list[Message | None]:
        """Return the messages that the receiver has for this sender, acknowledgements left out."""
        self.now += 1
        heard = []
        while data := self.receiver.send(self.now):
            for body in self._decoder.feed(data):
                if isinstance(body, bytes) and body[0] == 0x12:
                    heard.append(messages.parse(body[7:]))
        return [message for message in heard if not isinstance(message, messages.Ack)]
