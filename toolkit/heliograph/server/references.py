"""What streams refer to: pictures that were decoded before, that lie in a folder, or beside what a receiver keeps."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from heliograph import forks
from heliograph.codec import chain, container
from heliograph.codec.folder import StreamFolders
from heliograph.codec.recent import Recent
from heliograph.codec.registry import Registry
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.codec.values import ReferencePicture, Values
from heliograph.errors import HeliographError
from heliograph.files import read_regular
from heliograph.link.transfer import ledger
from heliograph.server.catalogue import Catalogue

_MOST_STREAM = 1 << 30
MOST_BYTES = 256 << 20  # of values kept in memory


class References:
    """Pictures by picture id for the streams that refer to them. Safe in several threads.

    Args:
        registry: the codecs that are known.
        folder: where else pictures are looked for: a memory, or any folder of streams.
        inbox: all streams come from this folder, which a receiver fills without end: its catalogue notes what was
            decoded. Without one, other files that were decoded are noted here, and those that lie in any receiver's
            folder in its catalogue too.
    """

    def __init__(self, registry: Registry, folder: Path | None = None, *, inbox: Path | None = None) -> None:
        self._registry = registry
        self._recent = Recent(MOST_BYTES)
        self._folder = None if folder is None else StreamFolders([folder], registry, recent=self._recent)
        self.catalogue = None if inbox is None else Catalogue(inbox, registry, recent=self._recent)
        self._catalogues: dict[Path, Catalogue] = {}
        self._files: dict[bytes, str] = {}  # of pictures that were decoded, to decode them again
        self._news: deque[bytes] = deque()
        self._lock = forks.Lock()

    def of(
        self, stream: container.Stream, file: Path | str | None = None
    ) -> Callable[[bytes], Values | None]:
        """Return what finds the values that a stream of a file refers to, as `decode_stream` asks for them."""

        def find(picture_id: bytes) -> Values | None:
            picture = self._find(picture_id)
            if picture is None and self._folder is not None:
                found = self._folder.find(stream.header, Path(file or "").name)
                picture = None if found is None else found[1]
            if picture is None and (placed := self._catalogued(file)) is not None:
                picture = placed[0].find(stream.header, placed[1])
            return None if picture is None else picture.values

        return find

    def learn(self, decoded: Decoded, file: Path | str | None = None) -> None:
        """Know a picture that was decoded, and the file that its stream came from; one with a loss is none."""
        if not decoded.loss.is_none:
            return
        picture = decoded.as_reference()
        self._recent.add(picture)
        if (placed := self._catalogued(file)) is not None:
            placed[0].learn(picture.picture_id, placed[1])
        if isinstance(file, Path) and self.catalogue is None:
            self._files[picture.picture_id] = str(file)
            self._news.append(picture.picture_id)

    def missing(self) -> set[tuple[str, str]]:
        """Return device and name of the inbox's streams whose reference is not there; see `Catalogue.missing`."""
        return set() if self.catalogue is None else self.catalogue.missing()

    def knows(self, picture_id: bytes) -> bool:
        """Return whether a picture was decoded before."""
        return picture_id in self._files or self._recent.get(picture_id) is not None

    def news(self) -> Iterator[bytes]:
        """Yield the ids of pictures that were decoded since the last call."""
        while self._news:
            yield self._news.popleft()

    def _catalogued(self, file: Path | str | None) -> tuple[Catalogue, Path] | None:
        """Return the catalogue of the receiver's folder that a file lies in, and its path there; None without one."""
        if not isinstance(file, Path):
            return None
        if self.catalogue is not None:
            return self.catalogue, file
        file = Path(os.path.abspath(file))  # noqa: PTH100 - a name may lead up, a link must not
        if not (file.parent / ledger.NAME).is_file():
            return None
        inbox = file.parent.parent
        with self._lock:
            if inbox not in self._catalogues:
                self._catalogues[inbox] = Catalogue(inbox, self._registry, recent=self._recent)
            return self._catalogues[inbox], file

    def _find(self, picture_id: bytes) -> ReferencePicture | None:
        picture = self._recent.get(picture_id)
        if picture is None and (file := self._files.get(picture_id)):
            try:
                stream = chain.open(read_regular(Path(file), _MOST_STREAM))
                codec = self._registry.by_id(stream.header.codec_id)
                picture = decode_stream(stream, codec, references=self.of(stream)).as_reference()
            except (OSError, HeliographError, RecursionError):  # it was removed or replaced since
                return None
            self._recent.add(picture)
        return picture
