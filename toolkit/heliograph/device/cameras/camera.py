"""What every picture source can do."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from heliograph.errors import CameraError

Picture = npt.NDArray[np.uint8]  # [H, W, 3], sRGB


class EndOfPictures(CameraError):
    """A source is over, as a video file is; there will be no more."""


class Camera(ABC):
    """A source of pictures. After an error it is closed and opened again.

    Attributes:
        holds_pictures: pictures wait in it and are all wanted; a live camera has only the one of now.
        is_busy: `read` gave None and has not looked at everything yet; it is to be called again at once.
        trouble: why it gave None, if there is a reason.
    """

    holds_pictures = False
    is_busy = False
    trouble = ""

    @abstractmethod
    def open(self) -> None:
        """Get ready to read; CameraError if that fails."""

    @abstractmethod
    def read(self) -> Picture | None:
        """Return a picture uint8 [H, W, 3], sRGB, of now, or the next one waiting; None if none is waiting.

        Raises:
            CameraError: no picture could be had; opening again may help.
            EndOfPictures: there are no more.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what `open` took; harmless when closed, or when opening failed."""

    def taken(self) -> None:  # noqa: B027 (most sources have nothing to remember)
        """Note that the picture read last is safe, or useless, and must not be given again after a restart."""

    def later(self) -> float | None:
        """Note that the picture read last could not be kept; return the seconds until it is given again, or None."""
        return None
