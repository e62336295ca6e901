"""A spool in memory, for ends that run on a simulated line."""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.errors import SpoolError


class MemorySpool:
    """Streams by name, as `heliograph.link.transfer.outgoing.Spool` wants them; `streams` are those that wait."""

    def __init__(self, streams: Mapping[str, bytes]) -> None:
        self.streams = dict(streams)

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
