"""The capture loop: picture, encoder, spool, again and again; what fails is logged and tried again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from heliograph.device.cameras.camera import Camera, EndOfPictures, Picture
from heliograph.device.changes import ChangeDetector
from heliograph.device.schedule import Schedule
from heliograph.device.spool import Spool
from heliograph.errors import (
    CameraError,
    HeliographError,
    PictureError,
    RuntimeUnavailableError,
    SpoolBoundError,
    SpoolError,
)
from heliograph.stop import Stop

FIRST_DELAY, LAST_DELAY = 1.0, 60.0  # seconds before a failed capture is tried again, but never past a tick
IDLE = 0.5  # seconds at least before a source that had nothing is asked again
TRIES = 5  # of a picture that a source holds; then the next has its turn
PATIENCE = 25.0  # seconds without a first picture after which one that was to end by itself gives up
LOOK = 5.0  # at most between two attempts until then
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Captured:
    """A picture in the spool, or one that was not put there because it is equal to the last.

    Attributes:
        name: in the spool; None if it was skipped.
        data: the stream as it was given to the spool; empty if it was skipped.
        seconds: from asking the camera until the stream was on the disk.
    """

    name: str | None
    data: bytes
    seconds: float


class CaptureLoop:
    """Takes pictures on a schedule and puts their streams into a spool.

    Args:
        camera: is opened, closed, and opened again after an error.
        encode: makes the stream of a picture.
        every: seconds between two pictures; of a source that holds pictures, between two looks for new ones, which
            are then all taken. 0: one after the other.
        count: ends after so many pictures were put into the spool; None: never.
        changes: skips pictures that show nothing new; None: none are skipped.
        report: told of each picture.
    """

    def __init__(
        self,
        camera: Camera,
        encode: Callable[[Picture], bytes],
        spool: Spool,
        *,
        every: float,
        count: int | None = None,
        changes: ChangeDetector | None = None,
        report: Callable[[Captured], None] = lambda captured: None,
    ) -> None:
        self._camera, self._encode, self._spool = camera, encode, spool
        self._every, self._left, self._changes, self._report = every, count, changes, report
        self._began = 0.0
        self._has_taken = self._has_told = self._was_left = False
        self._trouble = ""

    def run(self, stop: Stop) -> None:
        """Run until a stop is requested, the count is reached, or the source is over.

        Raises:
            RuntimeUnavailableError: the camera's library is not installed: trying again would not help.
            CameraError: with a count, nothing could be taken in the first PATIENCE seconds.
            BrokenPipeError: `report` writes to someone who has gone.
        """
        schedule = Schedule(self._every)
        is_open, delay, failures = False, FIRST_DELAY, 0
        self._began = time.monotonic()
        try:
            while self._left != 0 and not stop.wait(0):
                try:
                    if not is_open:
                        self._camera.open()
                        is_open = True
                    took = self._take()
                except EndOfPictures:
                    return
                except Exception as error:  # of a camera's library, a driver, a full disk
                    is_hopeless = isinstance(error, RuntimeUnavailableError) and not is_open
                    if is_hopeless or isinstance(error, BrokenPipeError):
                        raise
                    _log.warning("a capture failed, it will be tried again: %s", _text(error))
                    if not isinstance(error, CameraError | SpoolError):
                        failures += 1  # perhaps with this one picture only
                        if failures % TRIES == 0:
                            self._camera.later()
                    self._close()
                    is_open = False
                    self._trouble = _text(error)
                    if stop.wait(self._patient(min(delay, schedule.until_next()) if self._every else delay)):
                        return
                    delay = min(2 * delay, LAST_DELAY)
                    continue
                if self._was_left and not self._camera.holds_pictures:  # so will the next be, as a rule
                    if stop.wait(self._patient(max(delay, schedule.until_next()))):
                        return
                    delay = min(2 * delay, LAST_DELAY)
                    continue
                delay = FIRST_DELAY
                failures = 0 if took else failures
                if self._left == 0 or ((took or self._camera.is_busy) and self._camera.holds_pictures):
                    continue
                stop.wait(self._patient(max(schedule.until_next(), 0.0 if took else IDLE)))
        finally:
            self._close()

    def _patient(self, pause: float) -> float:
        """Return a pause that is not too long while nothing was taken yet; CameraError where patience is at its end."""
        if self._left is None or self._has_taken:
            return pause
        left = self._began + PATIENCE - time.monotonic()
        if left <= 0:
            reason = self._trouble or self._camera.trouble or "the source gives no picture"
            raise CameraError(f"nothing could be taken in {PATIENCE:g} s, so --count ends: {reason}")
        return min(pause, left, LOOK)

    def _close(self) -> None:
        try:
            self._camera.close()
        except Exception as error:  # of a camera that was unplugged; it is opened anew all the same
            _log.warning("closing the camera failed: %s", _text(error))

    def _take(self) -> bool:
        """Take one picture; return whether there was one."""
        began, self._was_left = time.perf_counter(), False
        picture = self._camera.read()
        if picture is None:
            self._trouble = self._camera.trouble or self._trouble
            if self._has_taken and self._left is not None and not self._has_told and not self._camera.is_busy:
                self._has_told = True
                _log.warning("%d more pictures are waited for, for --count: %s", self._left, self._trouble)
            return False
        if self._changes is not None and not self._changes.is_new(picture):
            self._camera.taken()
            self._report(Captured(None, b"", time.perf_counter() - began))
            return True
        try:
            data = self._encode(picture)
            name = self._spool.add(data)
        except (PictureError, SpoolBoundError) as error:  # a budget that is too small for it
            self._leave(str(error))
            return True
        except MemoryError:
            height, width = picture.shape[:2]
            self._leave(f"not enough memory to encode {width}x{height} pixels")
            return True
        self._camera.taken()
        self._has_taken = True
        if self._changes is not None:
            self._changes.keep()
        if self._left is not None:
            self._left -= 1
        self._report(Captured(name, data, time.perf_counter() - began))
        return True

    def _leave(self, why: str) -> None:
        """Go on with the next picture: this one would fail now too, and perhaps not later."""
        self._trouble, self._was_left = why, True
        pause = self._camera.later()
        if pause is None:
            _log.warning("a picture is left out: %s", why)
        else:
            _log.warning("a picture is left for later: %s; it is tried again in %g s", why, pause)


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, HeliographError) else f"{type(error).__name__}: {error}"
