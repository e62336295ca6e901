"""A spool in memory, for ends that run on a simulated line."""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.errors import SpoolError


class MemorySpool:
    """Streams by name, as `heliograph.link.transfer.outgoing.Spool` wants them.

    Attributes:
        streams: those that wait.
        pictures: name and stream, by picture id, of those that the receiver is known to have.
        forgotten: ids of pictures that he turned out not to have.
    """

    def __init__(self, streams: Mapping[str, bytes]) -> None:
        self.streams = dict(streams)
        self.pictures: dict[bytes, tuple[str, bytes]] = {}
        self.forgotten: list[bytes] = []

    def names(self) -> list[str]:
        """Return the names, oldest first."""
        return sorted(self.streams)

    def read(self, name: str) -> bytes:
        """Return a stream's bytes; SpoolError if it is gone."""
        if name not in self.streams:
            raise SpoolError(f"{name} is not in the spool any more; go on with the next")
        return self.streams[name]

    def remove(self, name: str, digest: bytes = b"", *, is_confirmed: bool = True) -> None:
        """Forget a stream; one that is not there is no error."""
        self.streams.pop(name, None)

    def again(self, picture_id: bytes) -> str | None:
        """Let a picture that the receiver is known to have wait again; return its name, or None."""
        name, data = self.pictures.get(picture_id, (None, b""))
        if name is not None:
            self.streams[name] = data
        return name

    def forget(self, picture_id: bytes) -> None:
        """Note that the receiver does not have a picture."""
        self.forgotten.append(picture_id)
