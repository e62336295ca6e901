"""What the next picture of a camera may refer to: the pictures that the other end is known to have."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.memory import Memory
from heliograph.codec.pack import Packed
from heliograph.codec.values import ReferencePicture
from heliograph.device.kept import CONFIRMED, MEMORY, SENT, Kept
from heliograph.errors import CodecError, HeliographError, PictureError, StreamError

_OWN = 4  # pictures made here of which the values are kept until they are confirmed
_log = logging.getLogger(__name__)


class Acknowledged:
    """The memory of a capture loop, which takes in what the sender has moved out of the spool.

    Nothing that goes wrong in it stops a camera: it is logged, and the next picture refers to nothing.

    Args:
        spool: its folder.
        codec: of the pictures.
        keep, max_depth: see `Memory`.
        key_every: for a line where nobody answers: of so many pictures one refers to nothing, a key picture; the others
            refer to the last key picture that was sent, and so build on one picture each.

    Raises:
        OutputError: the memory's folder cannot be used.
    """

    def __init__(
        self, spool: Path, codec: Codec, *, keep: int, max_depth: int, key_every: int | None = None
    ) -> None:
        self._memory = Memory(
            spool / MEMORY, codec, keep=keep, max_depth=max_depth if key_every is None else 1
        )
        self._kept = Kept(spool / (CONFIRMED if key_every is None else SENT))
        self._key_every = key_every
        self._left = 0  # pictures until the next key picture
        self._own: OrderedDict[bytes, ReferencePicture] = OrderedDict()  # by SHA-256 of their streams
        self._told = ""
        self._guard(self._kept.want)

    def candidates(self, width: int, height: int) -> list[ReferencePicture]:
        """Return what a picture of this size may refer to, the newest first."""
        found: list[ReferencePicture] = []
        self._guard(self._take_in)
        if self._key_every is None or self._left > 0:
            self._guard(lambda: found.extend(self._memory.candidates(width, height)))
        return found

    def made(self, packed: Packed) -> None:
        """Know a picture that was encoded here: it need not be decoded when it was confirmed."""
        picture = packed.as_reference()
        self._own[hashlib.sha256(packed.data).digest()] = picture
        while len(self._own) > _OWN:
            self._own.popitem(last=False)
        if self._key_every is not None:
            self._left = self._left - 1 if picture.depth else self._key_every - 1

    def _take_in(self) -> None:
        for name, data in self._kept.streams():
            try:
                is_wanted = self._key_every is None or container.open(data).header.reference is None
                if is_wanted:
                    # Perhaps thinned in the spool, then another picture: the bytes tell.
                    self._memory.add(data, self._own.pop(hashlib.sha256(data).digest(), None))
            except (StreamError, CodecError, PictureError) as error:
                _log.warning("%s is not taken into the memory: %s", name, error)
            self._kept.remove(name)

    def _guard(self, act: Callable[[], object]) -> None:
        """Do something, and log what prevents it, once until something else does."""
        try:
            act()
            self._told = ""
        except (HeliographError, OSError, MemoryError) as error:
            told = str(error)
            if told != self._told:
                _log.warning("pictures refer to no earlier ones: %s", told)
            self._told = told
