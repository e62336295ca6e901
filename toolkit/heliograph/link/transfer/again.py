"""Pictures that the receiver had and misses, as others refer to them: they are sent again where that is possible."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from heliograph.errors import HeliographError
from heliograph.link.events import Log

MAX_LOST = 64  # answers that wait to be sent; a flood beyond is not answered


class Memory(Protocol):
    """A spool and the pictures that the receiver has confirmed; see `heliograph.device.spool`."""

    def names(self) -> list[str]:
        """Names of streams that wait, oldest first."""

    def again(self, picture_id: bytes) -> str | None:
        """Let a picture's stream wait again and return its name; None if it is not here any more."""

    def forget(self, picture_id: bytes) -> None:
        """Refer no more to a picture nor to what builds on it."""


class Again:
    """What the sender knows of pictures that were asked for.

    Attributes:
        lost: ids of pictures of which the receiver is to be told that they are gone.
    """

    def __init__(self, memory: Memory, log: Log) -> None:
        self._memory, self._log = memory, log
        self._names: dict[bytes, str] = {}  # under which pictures went again
        self._doubtful: set[bytes] = set()
        self.lost: deque[bytes] = deque()

    def want(self, picture_id: bytes, now: float) -> None:
        """Let a picture wait for the line again, or forget it if it is not here any more.

        One that went again and is asked for twice since then is of no use to the receiver, and forgotten too: once may
        be before he knew what he had got.
        """
        try:
            self._want(picture_id, now)
        except (HeliographError, OSError) as error:  # it will be asked for again
            self._log.tell_seldom(now, "suspect", reason=str(error))

    def _want(self, picture_id: bytes, now: float) -> None:
        name = self._names.get(picture_id)
        if name is None:
            name = self._memory.again(picture_id)
            if name is not None:
                self._names[picture_id] = name
                self._log.tell_seldom(now, "wanted", picture=picture_id.hex(), name=name)
                return
        elif name in self._memory.names():
            return
        elif picture_id not in self._doubtful:
            self._doubtful.add(picture_id)
            return
        self._memory.forget(picture_id)
        self._log.tell_seldom(now, "lost", picture=picture_id.hex())
        if len(self.lost) < MAX_LOST and picture_id not in self.lost:
            self.lost.append(picture_id)
