"""Which streams were being decoded when a process ended without a word: killed, for memory above all, by one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from heliograph.files import make_folder
from heliograph.pauses import Pauses

NAME = ".decoding"
ATTEMPTS = 2  # of processes that ended with one stream in hand; then it is set aside
ASIDE = 600.0  # seconds, doubled with each process more
Key = tuple[str, str]


class Attempts:
    """Notes streams as they are taken in hand, in a file that a process leaves behind only if it is killed.

    Those that were in hand then are suspect: they wait for the others and go one by one, until it is known which it
    was. That one is set aside for a while, and tried again.

    Args:
        folder: of the file, made if needed. Where it cannot be written nothing is noted.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._suspects: dict[Key, int] = {}  # and how often
        self._pauses = Pauses(ASIDE, 86400.0)
        with contextlib.suppress(OSError, ValueError, TypeError):
            for device, name, times, was_in_hand in json.loads(self._path.read_text(encoding="utf-8")):
                self._suspects[str(device), str(name)] = int(times) + bool(was_in_hand)
        for key, times in self._suspects.items():
            if times >= ATTEMPTS:
                self._pauses.failed(key, ASIDE * 2 ** (min(times, 10) - ATTEMPTS))

    def aside(self) -> list[Key]:
        """Return device and name of the streams that are set aside."""
        return [key for key, times in self._suspects.items() if times >= ATTEMPTS]

    def is_suspect(self, key: Key) -> bool:
        """Return whether a stream was in hand when a process was killed, and has not been decoded since."""
        return key in self._suspects

    def is_due(self, key: Key) -> bool:
        """Return whether a stream may be decoded now."""
        return self._pauses.is_due(key)

    @contextlib.contextmanager
    def of(self, keys: Iterable[Key]) -> Iterator[None]:
        """Note that streams are in hand until this ends."""
        keys = set(keys)
        self._write(keys)
        try:
            yield
        finally:
            for key in keys:
                self._suspects.pop(key, None)
                self._pauses.forget(key)
            self._write(set())

    def _write(self, keys: set[Key]) -> None:
        lines = [[*key, times, key in keys] for key, times in self._suspects.items()]
        lines += [[*key, 0, True] for key in keys - self._suspects.keys()]
        with contextlib.suppress(OSError):
            if not lines:
                self._path.unlink(missing_ok=True)
                return
            make_folder(self._path.parent)
            # Not flushed: it is for the death of the process, and one for each look would wear a card.
            partial = self._path.with_name(f"{NAME}.partial")
            partial.write_text(json.dumps(lines), encoding="utf-8")
            partial.replace(self._path)
