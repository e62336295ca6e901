"""What streams refer to: pictures that were decoded before, or that lie in a folder."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from heliograph.codec import chain, container
from heliograph.codec.folder import StreamFolders
from heliograph.codec.recent import Recent
from heliograph.codec.registry import Registry
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.codec.values import ReferencePicture, Values
from heliograph.errors import HeliographError
from heliograph.files import read_regular

_MOST_STREAM = 1 << 30
MOST_BYTES = 256 << 20  # of values kept in memory


class References:
    """Pictures by picture id for the streams that refer to them. Safe in several threads.

    Args:
        registry: the codecs that are known.
        folder: where else pictures are looked for: a memory, or any folder of streams.
        is_beside: pictures are looked for beside the stream that refers to them, too; those decoded before are not
            noted, for there is no end of them.
    """

    def __init__(self, registry: Registry, folder: Path | None = None, *, is_beside: bool = False) -> None:
        self._registry, self._folder, self._is_beside = registry, folder, is_beside
        self._folders: dict[Path, StreamFolders] = {}
        self._recent = Recent(MOST_BYTES)
        self._files: dict[bytes, str] = {}  # of pictures that were decoded, to decode them again
        self._news: deque[bytes] = deque()

    def of(
        self, stream: container.Stream, file: Path | str | None = None
    ) -> Callable[[bytes], Values | None]:
        """Return what finds the values that a stream of a file refers to, as `decode_stream` asks for them."""
        beside = file.parent if self._is_beside and isinstance(file, Path) else None

        def find(picture_id: bytes) -> Values | None:
            picture = self._find(picture_id)
            for folder in (self._folder, beside):
                if picture is None and folder is not None:
                    found = self._streams(folder).find(stream.header, Path(file or "").name)
                    picture = None if found is None else found[1]
            return None if picture is None else picture.values

        return find

    def learn(self, decoded: Decoded, file: Path | str | None = None) -> None:
        """Know a picture that was decoded, and the file that its stream came from; one with a loss is none."""
        if not decoded.loss.is_none:
            return
        picture = decoded.as_reference()
        self._recent.add(picture)
        if isinstance(file, Path) and not self._is_beside:
            self._files[picture.picture_id] = str(file)
            self._news.append(picture.picture_id)

    def knows(self, picture_id: bytes) -> bool:
        """Return whether a picture was decoded before."""
        return picture_id in self._files or self._recent.get(picture_id) is not None

    def news(self) -> Iterator[bytes]:
        """Yield the ids of pictures that were decoded since the last call."""
        while self._news:
            yield self._news.popleft()

    def _streams(self, folder: Path) -> StreamFolders:
        return self._folders.setdefault(folder, StreamFolders([folder], self._registry, recent=self._recent))

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
