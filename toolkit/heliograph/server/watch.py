"""Streams of an inbox to pictures as they come, of each device in turn the latest, arriving ones anew as they grow.

Of DIR/<device>/<name>.helio the picture is PICTURES/<device>/<name>.png. While a stream arrives, what is there of it
is <name>.partial.png beside, which goes when the whole one is there. (The picture of a stream that is itself called
<name>.partial.helio is <name>.partial.helio.png: no two streams have one picture.) Pictures that are newer than their
streams are not made again, so a watch that was ended goes on.

What is wrong with a stream is so until it changes. What fails otherwise, as on a full disk, is tried again after
growing pauses. Streams that were being decoded when a process was killed come after the others, see `attempts`.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.errors import ReferenceMissing
from heliograph.files import write_where_told
from heliograph.pauses import Pauses, may_pass
from heliograph.pictures import png
from heliograph.server.attempts import Attempts
from heliograph.server.decoders import ARRIVING_PIXELS, Decoder
from heliograph.server.inbox import NO_DEVICE, Entry, Inbox
from heliograph.server.pipeline import Outcome, Pipeline, Task
from heliograph.server.references import References
from heliograph.server.turns import Turns

SUFFIX = ".helio"
AT_ONCE = 32  # streams that are decoded before the folder is looked at again: later ones wait no longer
PIXELS_AT_ONCE = ARRIVING_PIXELS  # of those streams, if there is more than one
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watched:
    """A stream, what became of it, and the seconds until it is tried again, 0 if it is not."""

    stream: Entry
    outcome: Outcome
    pause: float = 0.0


class Watch:
    """Decodes what comes into an inbox.

    Args:
        folder: the inbox; streams that lie in it without a device's folder are taken too.
        pictures: where pictures go, made if needed.
        decoder: from now on what streams refer to is looked for in the inbox.
    """

    def __init__(self, folder: Path, pictures: Path, decoder: Decoder) -> None:
        self.pictures = pictures
        self._inbox = Inbox(folder, flat=True)
        decoder.references = self._references = References(decoder.registry, inbox=folder)
        self._pipeline = Pipeline(decoder, write_picture, partial=True)
        self._turns = Turns()
        self._pauses, self._attempts = Pauses(5.0), Attempts(pictures)
        for device, name in self._attempts.aside():
            text = "set aside: %s was being decoded each time that the decoder was killed; it is tried again later"
            _log.warning(text, folder / device / name)
        self._waiting: set[tuple[str, str]] = set()  # whole streams whose reference has not come yet
        self._versions: dict[tuple[str, str], tuple[int, int, bool]] = {}  # of streams that may change yet

    def step(self) -> Iterator[Watched]:
        """Look once, decode streams that are new or have grown, and yield what became of each.

        Of arriving streams whose header is not there yet nothing is told.

        Raises:
            RuntimeUnavailableError: the decoder needs what is not installed.
        """
        pending = self._pending()
        tasks = {self._target(stream): stream for stream in pending}
        todo = [Task(stream.path, target) for target, stream in tasks.items()]
        if not pending:
            return
        with self._attempts.of(stream.key for stream in pending):
            for outcome in self._pipeline.run(todo):
                yield from self._became(tasks[Path(outcome.task.target)], outcome)

    def _became(self, stream: Entry, outcome: Outcome) -> Iterator[Watched]:
        """Note what became of a stream, and yield it if it is to be told."""
        self._turns.took(stream.device, outcome.seconds)
        if outcome.error is not None and may_pass(outcome.error):
            yield Watched(stream, outcome, self._pauses.failed(stream.key))
            return
        self._pauses.forget(stream.key)
        is_good = outcome.error is None and not outcome.loss
        self._done(stream, is_final=is_good)
        if stream.is_whole and isinstance(outcome.error, ReferenceMissing):
            self._waiting.add(stream.key)
        if stream.is_whole and outcome.error is None:
            with contextlib.suppress(OSError):
                self._partial_target(stream).unlink(missing_ok=True)
                self._date(stream)
        if stream.is_whole or outcome.error is None:
            yield Watched(stream, outcome)

    def _pending(self) -> list[Entry]:
        """Return what is to be decoded next."""
        entries: list[Entry] = []
        total, new = 0, list(self._new())
        innocent = [stream for stream in new if not self._attempts.is_suspect(stream.key)]
        for stream, pixels in self._turns.order(innocent or new):
            if not innocent:
                return [stream]
            total += pixels
            if len(entries) == AT_ONCE or (entries and total > PIXELS_AT_ONCE):
                break
            entries.append(stream)
        return entries

    def _new(self) -> Iterator[Entry]:
        """Yield all streams whose picture is not there as they are now."""
        if self._waiting:
            for key in self._waiting - self._references.missing():
                self._waiting.discard(key)
                self._versions.pop(key, None)
        for stream in self._inbox.look():
            if self._versions.get(stream.key) == stream.version:
                continue
            if not (self._pauses.is_due(stream.key) and self._attempts.is_due(stream.key)):
                continue
            if self._is_there(stream):
                self._done(stream, is_final=True)
            else:
                yield stream

    def _done(self, stream: Entry, *, is_final: bool) -> None:
        """Do not decode this version again. What a receiver has named is checked and changes no more."""
        if is_final and stream.is_whole and stream.device != NO_DEVICE:
            self._versions.pop(stream.key, None)
            self._inbox.passed.add(stream.key)
        else:
            self._versions[stream.key] = stream.version

    def _is_there(self, stream: Entry) -> bool:
        try:
            return self._target(stream).stat().st_mtime_ns >= stream.version[0]
        except OSError:
            return False

    def _date(self, stream: Entry) -> None:
        """Let a picture be no older than its stream, whose time may be of a clock that was ahead; OSError."""
        target, came = self._target(stream), stream.version[0]
        if target.stat().st_mtime_ns < came:
            os.utime(target, ns=(came, came))

    def _target(self, stream: Entry) -> Path:
        if not stream.is_whole:
            return self._partial_target(stream)
        stem = stream.name.removesuffix(SUFFIX)
        # Not every name gives way to its picture's: a.partial.png is what is there of a.helio.
        name = stream.name if stem.endswith((".partial", SUFFIX)) else stem
        return self.pictures / stream.device / f"{name}.png"

    def _partial_target(self, stream: Entry) -> Path:
        return self.pictures / stream.device / Path(stream.name).with_suffix(".partial.png")


def write_picture(
    target: Path, picture: npt.NDArray[np.uint8], told: Mapping[str, str] | None = None
) -> None:
    """Write a picture as PNG, with what it says of itself; see `write_where_told`, also for the errors."""
    write_where_told(target, png(picture, told))
