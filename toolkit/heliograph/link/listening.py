"""What all ends do that hear a line: frames out of bytes, noise told of, events kept until they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from heliograph.link.events import Event, Log
from heliograph.link.wire.frames import Corrupt, FrameCoder, FrameDecoder


class Listener:
    """An end of a line, of which a subclass says what it does with frames."""

    def __init__(self, coder: FrameCoder | None = None) -> None:
        self._decoder = FrameDecoder(coder or FrameCoder())
        self._log = Log()

    def take_events(self) -> list[Event]:
        """Return what happened since the last call."""
        return self._log.take()

    def disconnected(self, now: float) -> None:
        """The port was lost and is there again: what came of a frame before is nothing."""
        self._decoder.reset()

    def _frames(self, data: bytes, now: float) -> Iterator[bytes]:
        """Yield the bodies of frames that these bytes end."""
        for frame in self._decoder.feed(data):
            if isinstance(frame, Corrupt):
                self._log.tell_seldom(now, "noise", reason=frame.reason)
            else:
                yield frame
