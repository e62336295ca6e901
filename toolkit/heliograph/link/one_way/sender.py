"""The end of a one-way line that only sends (LINK.md, section 6)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from heliograph.errors import HeliographError
from heliograph.link.events import Event, Log
from heliograph.link.one_way.bodies import STREAM_BYTES, Description, Piece
from heliograph.link.one_way.cutting import cut_stream
from heliograph.link.one_way.frames import FrameWriter
from heliograph.link.transfer.outgoing import Spool
from heliograph.link.wire.frames import DELIMITER
from heliograph.link.wire.names import CANNOT_GO, MAX_STREAM, check_device, is_stream

TOGETHER = 16  # pictures whose base layers go before the refinements of any
POLL = 1.0


class OneWaySender:
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
        self._writer = FrameWriter(device, key, counter_file)
        self._frames: Iterator[bytes] = iter(())
        self._batch: list[tuple[str, int, bytes]] = []  # name, bytes, SHA-256
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
        """Take no notice: nobody answers a one-way sender."""

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
        for name, size, digest in self._batch:
            self._spool.remove(name, digest, is_confirmed=False)
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
                self._log.tell("skipped", name=name, reason=CANNOT_GO)
                continue
            digest = hashlib.sha256(data).digest()
            plans.append(self._plan(name, data, digest))
            self._batch.append((name, len(data), digest))
        bodies = [
            body for _ in range(self._repeat) for part in (0, 1) for plan in plans for body in plan[part]
        ]
        # A delimiter more before the first: it ends what noise began.
        return ((b"" if n else DELIMITER) + self._writer.write(body) for n, body in enumerate(bodies))

    def _plan(self, name: str, data: bytes, digest: bytes) -> tuple[list[bytes], list[bytes]]:
        """Return the frames' bodies of a stream: those that go first, and those that follow later."""
        cuts = cut_stream(data)
        mark = digest[:STREAM_BYTES]
        header, base, rest = (
            [Piece(mark, runs).to_bytes() for runs in pieces]
            for pieces in (cuts.header, cuts.base, cuts.rest)
        )
        described = [Description(name, self._device, len(data), digest, cuts.head).to_bytes(), *header]
        half, third = len(rest) // 2, len(base) // 3
        # Turned, so that what hits in a rhythm does not hit a frame each time.
        again = base[third:] + base[:third]
        last = base[2 * third :] + base[: 2 * third]
        return described + base + described, rest[:half] + described + again + rest[half:] + described + last
