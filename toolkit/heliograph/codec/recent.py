"""The pictures that were coded or decoded last, kept in memory for others to refer to."""

from __future__ import annotations

from collections import OrderedDict

from heliograph import forks
from heliograph.codec.values import ReferencePicture

MOST_BYTES = 64 << 20  # of values: a picture of two megapixels has three million


class Recent:
    """Pictures by picture id, bounded in bytes: those asked for last stay. Safe in several threads.

    Args:
        most_bytes: of values; the last picture stays however large it is.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._pictures: OrderedDict[bytes, ReferencePicture] = OrderedDict()
        self._lock = forks.Lock()

    def add(self, picture: ReferencePicture) -> None:
        """Keep a picture."""
        with self._lock:
            self._forget(picture.picture_id)
            self._pictures[picture.picture_id] = picture
            self._bytes += picture.values.nbytes
            while self._bytes > self._most_bytes and len(self._pictures) > 1:
                self._forget(next(iter(self._pictures)))

    def get(self, picture_id: bytes) -> ReferencePicture | None:
        """Return a picture, or None if it is not kept any more."""
        with self._lock:
            picture = self._pictures.get(picture_id)
            if picture is not None:
                self._pictures.move_to_end(picture_id)
            return picture

    def _forget(self, picture_id: bytes) -> None:
        picture = self._pictures.pop(picture_id, None)
        if picture is not None:
            self._bytes -= picture.values.nbytes
