"""Measurements kept between runs, each under a hash of everything it depends on."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.errors import OutputError

# Of what other codecs make of pictures: none of ours is in it, and it takes hours of a big set.
_OF_BASELINES = ("measure/baselines.py", "measure/metrics.py", "measure/rate_distortion.py")
# Whatever decides what a stream decodes to, or how that is measured; a change to it makes old results unknown.
_SOURCES = (
    "codec",
    "device",
    "packets",
    "server",
    *_OF_BASELINES,
    "measure/loss.py",
    "measure/runner.py",
    "measure/tiny.py",
    "measure/video.py",
    "train/experiments/trained.py",
    "validate/codec_rows.py",
    "validate/contents.py",
    "validate/gallery.py",
    "validate/maps.py",
    "validate/parity.py",
    "validate/robustness.py",
    "validate/runners.py",
    "validate/sites.py",
    "validate/thin_links.py",
)


def default_path() -> Path:
    """Return where measurements are kept: below $XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "heliograph" / "validate.sqlite"


def picture_hash(picture: npt.NDArray[np.uint8]) -> str:
    """Return a SHA-256 over a picture's shape and pixels."""
    digest = hashlib.sha256(repr(picture.shape).encode())
    digest.update(np.ascontiguousarray(picture).tobytes())
    return digest.hexdigest()


def code_hash(sources: Sequence[str] = (*_SOURCES, "_core*.so")) -> str:
    """Return a SHA-256 over sources that a measurement runs through, by default all, and the C core as built."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for name in sources:
        place = package / name
        for path in sorted(place.glob("*.py") if place.is_dir() else package.glob(name)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


class Cache:
    """A table of JSON values by key; `path` None keeps nothing.

    Raises:
        OutputError: the file cannot be opened or is no such table.
    """

    def __init__(self, path: Path | None) -> None:
        self.hits = self.misses = 0
        self._code, self._of_baselines = code_hash(), code_hash(_OF_BASELINES)
        self._path = path
        self._table: sqlite3.Connection | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._table = sqlite3.connect(path, timeout=60)
            self._table.execute("create table if not exists results (key text primary key, value text)")
        except (OSError, sqlite3.Error) as error:
            raise OutputError(
                f"cannot use {path} as a cache: {error}; delete it, give another with --cache, or use --no-cache"
            ) from error

    def key(self, kind: str, facts: Mapping[str, Any]) -> str:
        """Return the key of a measurement that depends on `facts` and on the code, of a "baseline" on its part."""
        code = self._of_baselines if kind == "baseline" else self._code
        text = json.dumps({"kind": kind, "code": code, **facts}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def get(self, key: str) -> Any:
        """Return a value, or None where it is not known."""
        row = None
        if self._table is not None:
            row = self._table.execute("select value from results where key = ?", (key,)).fetchone()
        if row is None:
            self.misses += 1
            return None
        self.hits += 1
        return json.loads(row[0])

    def put(self, key: str, value: Any) -> None:
        """Keep a value that JSON can hold."""
        if self._table is None:
            return
        try:
            with self._table:
                self._table.execute("insert or replace into results values (?, ?)", (key, json.dumps(value)))
        except sqlite3.Error as error:
            raise OutputError(
                f"cannot write {self._path}: {error}; free some space, or use --no-cache"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._table is not None:
            self._table.close()
