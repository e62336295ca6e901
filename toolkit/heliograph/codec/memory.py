"""Site memory: the pictures that both ends have, as streams in a folder, for the next one to refer to.

A stream is a file `<number>-<picture id>.helio`, whole or not at all; the newest has the highest number. What a
stream refers to has a lower number. Of each stream that is kept all that it builds on is kept too, and files are
removed from the newest on: whenever a writer dies, every stream that is there can still be decoded. A file that is
damaged, or not the picture that its name says, is passed over and logged once: a camera goes on without it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.recent import Recent
from heliograph.codec.stream import decode_stream
from heliograph.codec.values import ReferencePicture, Values
from heliograph.errors import HeliographError, OutputError, StreamError
from heliograph.files import make_folder, read_regular, sync_folder, write_whole

KEEP = 2  # pictures that the next may refer to
MOST_BYTES = 16 << 20  # of streams
MAX_DEPTH = 32  # pictures that one may build on; 16 cost 2.8 % of the bytes of a camera of 15 minutes
_NAME = re.compile(r"(\d{8,12})-([0-9a-f]{16})\.helio")
_UNFINISHED = re.compile(r"\.\d{8,12}-[0-9a-f]{16}\.helio\.[0-9a-f]+\.partial")
_MOST_STREAM = 1 << 28
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Stored:
    """A stream in the folder."""

    number: int
    picture_id: bytes
    path: Path
    header: container.Header
    size: int


class Memory:
    """Streams in a folder; several processes may use one folder at a time.

    Args:
        folder: made if it is missing.
        codec: of the pictures; those of others are passed over.
        keep: how many pictures the next may refer to.
        most_bytes: of all streams together, with what they build on.
        max_depth: a picture that builds on so many is not referred to, so that one that builds on none comes in time.

    Raises:
        OutputError: the folder cannot be made, read or written; this holds for every method.
    """

    def __init__(
        self,
        folder: Path,
        codec: Codec,
        *,
        keep: int = KEEP,
        most_bytes: int = MOST_BYTES,
        max_depth: int = MAX_DEPTH,
    ) -> None:
        if keep < 1 or not 0 <= max_depth <= container.MAX_DEPTH:
            raise ValueError(
                f"keep is {keep}, max_depth {max_depth}; expected 1 or more, and 0 to {container.MAX_DEPTH}"
            )
        self.folder, self._codec = folder, codec
        self._keep, self._most_bytes, self._max_depth = keep, most_bytes, max_depth
        self._recent = Recent()
        self._known: dict[str, _Stored] = {}
        self._passed: set[str] = set()  # names of files that were logged
        with self._errors():
            make_folder(folder)

    def add(self, data: bytes, picture: ReferencePicture | None = None) -> None:
        """Keep a stream that the other end has, and forget what is too old; on the disk when this returns.

        Args:
            picture: what the stream decodes to, if that is known.

        Raises:
            StreamError: it cannot be decoded, or refers to what is not here any more.
        """
        if picture is None:
            picture = decode_stream(data, self._codec, references=self.values).as_reference()
        self._recent.add(picture)
        with self._errors(), _alone(self.folder):
            stored = self._stored()
            if all(one.picture_id != picture.picture_id for one in stored):
                number = stored[0].number + 1 if stored else 1
                write_whole(self.folder / f"{number:08}-{picture.picture_id.hex()}.helio", data)
            self._trim()

    def find(self, picture_id: bytes) -> ReferencePicture | None:
        """Return a picture, decoded with all that it builds on where it is not at hand; None if it is not here."""
        with self._errors():
            return self._decode({one.picture_id: one for one in self._stored()}, picture_id)

    def candidates(self, width: int, height: int) -> list[ReferencePicture]:
        """Return the pictures that one of this size may refer to, the newest first.

        None if the newest is as deep as may be: one after another would refer to the last that is not, ever staler.
        """
        if len(self._codec.coder.model.sets) < 2:
            return []
        with self._errors():
            stored = self._stored()
            known = {one.picture_id: one for one in stored}
            found: list[ReferencePicture | None] = []
            for one in stored[: self._keep]:
                header = one.header
                is_alike = header.kind[:3] == (self._codec.id, width, height)
                if is_alike and header.depth >= self._max_depth and not found:
                    return []
                if is_alike and header.depth < self._max_depth:
                    found.append(self._decode(known, one.picture_id))
            return [picture for picture in found if picture is not None]

    def values(self, picture_id: bytes) -> Values | None:
        """Return the values of a picture, as `decode_stream` asks for them; None if it is not here."""
        picture = self.find(picture_id)
        return None if picture is None else picture.values

    def _stored(self) -> list[_Stored]:
        """Return the streams that can be read, the newest first."""
        names = self._names()
        self._known = {name: self._known[name] for name in names if name in self._known}
        for name in names:
            if name not in self._known and (match := _NAME.fullmatch(name)):
                try:
                    data = read_regular(self.folder / name, _MOST_STREAM)
                    header = container.open(data).header
                except (OSError, StreamError) as error:
                    self._pass_over(name, str(error))
                    continue
                self._known[name] = _Stored(
                    int(match[1]), bytes.fromhex(match[2]), self.folder / name, header, len(data)
                )
        good = (one for name, one in self._known.items() if name not in self._passed)
        return sorted(good, key=lambda one: (one.number, one.picture_id), reverse=True)

    def _chain(self, known: dict[bytes, _Stored], picture_id: bytes) -> list[_Stored]:
        """Return a stream and what it builds on, itself first, up to what is at hand; none if something is missing."""
        chain: list[_Stored] = []
        wanted = picture_id
        while (one := known.get(wanted)) is not None and one not in chain:
            chain.append(one)
            if one.header.reference is None:
                return chain
            wanted = one.header.reference.picture_id
        return []

    def _decode(self, known: dict[bytes, _Stored], picture_id: bytes) -> ReferencePicture | None:
        picture = self._recent.get(picture_id)
        if picture is not None:
            return picture
        todo = []
        for one in self._chain(known, picture_id):
            picture = self._recent.get(one.picture_id)
            if picture is not None:
                break
            todo.append(one)
        for one in reversed(todo):
            there = {} if picture is None else {picture.picture_id: picture.values}
            try:
                data = read_regular(one.path, _MOST_STREAM)
                picture = decode_stream(data, self._codec, references=there).as_reference()
            except (OSError, HeliographError) as error:
                self._pass_over(one.path.name, str(error))
                return None
            if picture.picture_id != one.picture_id:
                self._pass_over(one.path.name, f"it is picture {picture.picture_id.hex()}")
                return None
            self._recent.add(picture)
        return picture

    def _trim(self) -> None:
        """Remove all but the newest streams and what they build on, from the newest on."""
        stored = self._stored()
        known = {one.picture_id: one for one in stored}
        kept: dict[Path, int] = {}
        newest = 0
        for one in stored:
            more = {part.path: part.size for part in self._chain(known, one.picture_id)}
            if more and sum((kept | more).values()) > self._most_bytes:
                break
            kept |= more
            newest += bool(more)
            if newest == self._keep:
                break
        # Files that cannot be read go too: nothing can refer to them.
        names = {name for name in self._names() if _NAME.fullmatch(name)}
        for name in sorted(names - {path.name for path in kept}, reverse=True):
            with contextlib.suppress(IsADirectoryError):
                (self.folder / name).unlink(missing_ok=True)
        sync_folder(self.folder)

    def _names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def _pass_over(self, name: str, why: str) -> None:
        if name not in self._passed:
            _log.warning("memory %s: %s is passed over: %s", self.folder, name, why)
        self._passed.add(name)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"cannot use the memory {self.folder}: {error.strerror or error}; check the disk and who may write "
                "there, or give another folder"
            ) from error


def stream_of(folder: Path, picture_id: bytes) -> Path | None:
    """Return the file of a picture in a memory's folder; None if it is not there; OSError."""
    named = (name for name in _streams(folder) if name.endswith(f"-{picture_id.hex()}.helio"))
    return next((folder / name for name in named), None)


def forget(folder: Path, picture_id: bytes) -> None:
    """Remove a picture that the other end turned out not to have, and all that builds on it; OSError."""
    if not folder.is_dir():
        return
    lost, names = {picture_id}, []
    with _alone(folder):
        for name in _streams(folder):  # what a stream refers to comes before it
            own = bytes.fromhex(name.removesuffix(".helio").rpartition("-")[2])
            try:
                referred = container.open(read_regular(folder / name, _MOST_STREAM)).header.reference
            except (OSError, StreamError):
                continue
            if own in lost or (referred is not None and referred.picture_id in lost):
                lost.add(own)
                names.append(name)
        for name in reversed(names):
            (folder / name).unlink(missing_ok=True)
        sync_folder(folder)


def is_named(name: str) -> bool:
    """Return whether a name is one that a memory gives."""
    return _NAME.fullmatch(name) is not None


def _streams(folder: Path) -> list[str]:
    """Return the names of streams in a memory's folder, the oldest first; OSError."""
    names = [entry.name for entry in os.scandir(folder) if is_named(entry.name)] if folder.is_dir() else []
    return sorted(names, key=lambda name: int(name.partition("-")[0]))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from writing; leftovers of writers that died are removed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for entry in list(os.scandir(folder)):
            if _UNFINISHED.fullmatch(entry.name):
                (folder / entry.name).unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)
