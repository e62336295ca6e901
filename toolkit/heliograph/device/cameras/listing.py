"""The picture files below a folder, looked for again and again; what is passed over is named once."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path, PurePath

from heliograph.device.cameras.memory import File
from heliograph.errors import CameraError

MOST_NAMED = 20  # kinds of files and folders that are named: a folder of anything must not fill the log
_log = logging.getLogger(__name__)


class Listing:
    """Looks for pictures in a folder and the folders in it, hidden ones and links to folders left out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._named: set[str] = set()
        self._was_empty = False

    def files(self) -> list[File]:
        """Return the state of every picture file, the one changed first first; CameraError if that is not possible."""
        from heliograph.pictures import SUFFIXES

        files: list[File] = []
        try:
            entries = list(os.scandir(self.folder))
        except OSError as error:
            raise CameraError(f"cannot read folder {self.folder}: {error.strerror}; check it") from error
        if not entries and not self._was_empty:
            _log.warning("%s is empty: pictures are waited for; is a card to be mounted there?", self.folder)
        self._was_empty = not entries
        folders = [("", entries)]
        while folders:
            place, entries = folders.pop()
            for entry in entries:
                name = place + entry.name
                if entry.name.startswith("."):
                    continue
                with contextlib.suppress(FileNotFoundError):  # it went just now, or a link leads nowhere
                    if entry.is_dir():
                        if not entry.is_symlink():
                            folders += self._below(name)
                        else:
                            self._name(name, f"{self.folder / name}, which is a link to a folder")
                        continue
                    suffix = PurePath(entry.name).suffix.lower()
                    if suffix not in SUFFIXES:
                        kind = f"ending in {suffix}" if suffix else "without a suffix"
                        self._name(suffix, f"files {kind}, such as {self.folder / name}")
                        continue
                    about = entry.stat()
                    if stat.S_ISREG(about.st_mode):
                        files.append(File(about.st_mtime_ns, name, about.st_size))
        return sorted(files)

    def _below(self, name: str) -> list[tuple[str, list[os.DirEntry[str]]]]:
        try:
            return [(f"{name}/", list(os.scandir(self.folder / name)))]
        except FileNotFoundError:
            return []
        except OSError as error:
            self._name(name, f"folder {self.folder / name}, which cannot be read: {error.strerror}")
            return []

    def _name(self, key: str, what: str) -> None:
        if key not in self._named and len(self._named) < MOST_NAMED:
            self._named.add(key)
            _log.warning("passed over: %s", what)
