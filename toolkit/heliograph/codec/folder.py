"""The pictures of streams in folders, for those that refer to them; what no name tells is decoded to see."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from heliograph import forks
from heliograph.codec import container
from heliograph.codec.recent import Recent
from heliograph.codec.registry import Registry
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import ReferencePicture
from heliograph.errors import HeliographError, ReferenceMissing, StreamError
from heliograph.files import open_regular, read_regular

SUFFIX = ".helio"
_HEADER_BYTES = 4096  # the header of an ordinary stream takes 32
_MOST_STREAM = 1 << 30
_COARSE = 10**9  # ns
Found = tuple[Path, ReferencePicture]


class StreamFolders:
    """Streams in folders, whose headers are read when something is asked for. Safe in several threads.

    A picture is looked for in files whose name ends in its id, as those of a `Memory` do, then in streams whose
    header fits: of equal codec and size, of the level and depth that the reference has. Of these, the last whose name
    is before that of the stream which refers is tried first, for names are often times.

    Args:
        folders: memories, or any folders of streams; those in folders within are not looked at.
        registry: the codecs that are known.
        recent: where pictures are kept that were decoded, if others share it.

    Raises:
        StreamError: a folder cannot be read; of methods.
    """

    def __init__(self, folders: Iterable[Path], registry: Registry, *, recent: Recent | None = None) -> None:
        self._folders, self._registry = list(dict.fromkeys(folders)), registry
        self._headers: dict[Path, container.Header | None] = {}
        self._changed: list[int] = []  # when each folder had been changed last, as it was looked at
        self._ids: dict[Path, bytes | None] = {}  # None: cannot be decoded
        self._recent = Recent() if recent is None else recent
        self._lock = forks.Lock()

    def chain(self, data: bytes, name: str = "") -> list[bytes]:
        """Return the streams that a stream builds on, the oldest first, itself last.

        Args:
            name: of the stream's file, to try what is before it first.

        Raises:
            StreamError: it is none, or what it builds on is not here: ReferenceMissing.
        """
        header = container.open(data).header
        chain = [data]
        while header.reference is not None:
            found = self.find(header, name)
            if found is None:
                raise ReferenceMissing(header.reference.picture_id, header.depth)
            data = read_regular(found[0], _MOST_STREAM)
            chain.append(data)
            header, name = container.open(data).header, found[0].name
        return chain[::-1]

    def find(self, header: container.Header, name: str = "") -> Found | None:
        """Return the picture that a header refers to, and its stream's file; None if it is not here."""
        wanted = header.reference
        if wanted is None:
            return None
        with self._lock:
            self._look()
            for path in self._candidates(header, wanted, name):
                if self._ids.get(path, wanted.picture_id) == wanted.picture_id:
                    picture = self._picture(path)
                    if picture is not None and picture.picture_id == wanted.picture_id:
                        return path, picture
        return None

    def _candidates(self, header: container.Header, wanted: container.Referred, name: str) -> Iterator[Path]:
        """Yield the streams that may be what a header refers to, the likeliest first; their depths are lower."""
        ending = f"-{wanted.picture_id.hex()}{SUFFIX}"
        likely = []
        for path, other in self._headers.items():
            if other is None or other.kind != header.kind or other.depth >= wanted.depth:
                continue
            if path.name.endswith(ending):
                yield path
            elif (other.depth, other.level) == (wanted.depth - 1, wanted.level):
                likely.append(path)
        yield from sorted(likely, key=lambda path: (path.name < name, path.name), reverse=True)

    def _picture(self, path: Path) -> ReferencePicture | None:
        """Return what a stream decodes to, with what it builds on; None if it cannot be decoded."""
        known = self._ids.get(path)
        picture = None if known is None else self._recent.get(known)
        if picture is None:
            try:
                stream = container.open(read_regular(path, _MOST_STREAM))
                there = self.find(stream.header, path.name)
                references = {} if there is None else {there[1].picture_id: there[1].values}
                codec = self._registry.by_id(stream.header.codec_id)
                picture = decode_stream(stream, codec, references=references).as_reference()
                self._recent.add(picture)
            except (OSError, HeliographError):
                pass
            self._ids[path] = None if picture is None else picture.picture_id
        return picture

    def _look(self) -> None:
        """Read the headers of streams that came since the last look, if a folder has changed."""
        try:
            changed = [folder.stat().st_mtime_ns for folder in self._folders]
            # A folder's time is coarse: what came right after a look may have changed nothing in it.
            if changed == self._changed and max(changed) < time.time_ns() - _COARSE:
                return
            files = [path for folder in self._folders for path in sorted(folder.iterdir())]
        except OSError as error:
            raise StreamError(
                f"cannot read folder {error.filename}: {error.strerror}; check the path"
            ) from error
        paths = [path for path in files if path.suffix.lower() == SUFFIX]
        known = self._headers
        self._headers = {path: known[path] if path in known else read_header(path) for path in paths}
        self._changed = changed


def read_header(path: Path) -> container.Header | None:
    """Return the header of a stream's file; None if it is none."""
    for most in (_HEADER_BYTES, _MOST_STREAM):
        try:
            with open_regular(path) as file:
                return container.open(file.read(most)).header
        except (OSError, StreamError):
            pass
    return None
