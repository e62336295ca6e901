"""Which codecs there are: the shipped ones by name, others by their folder, and all of them by a stream's id."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from heliograph import forks
from heliograph.codec.codec import MANIFEST, Codec
from heliograph.errors import CodecError


def shipped_folder() -> Path:
    """Return where the shipped codecs lie: beside the installed package, or the repository's folder."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "firmware_models"
    return installed if installed.is_dir() else package.parents[1] / "firmware_models"


def shipped() -> dict[str, Path]:
    """Return name and folder of every shipped codec."""
    folder = shipped_folder()
    return {p.parent.name: p.parent for p in sorted(folder.glob(f"*/{MANIFEST}"))}


def open_codec(name_or_folder: str | Path | Codec) -> Codec:
    """Return a codec by the name of a shipped one or by its folder, or itself; CodecError if there is none."""
    if isinstance(name_or_folder, Codec):
        return name_or_folder
    known = shipped()
    if str(name_or_folder) in known:
        return Codec(known[str(name_or_folder)])
    folder = Path(name_or_folder)
    if not os.path.isdir(folder):  # noqa: PTH112 - of a name that is too long pathlib raises
        raise CodecError(
            f"no codec named {str(name_or_folder)!r}: shipped are {', '.join(known) or 'none'}; "
            "or give the folder of a codec"
        )
    return Codec(folder)


class Registry:
    """Codecs by the id in a stream: those that were added, then the shipped ones, each opened once.

    Safe in several threads.
    """

    def __init__(self, added: Iterable[Codec] = ()) -> None:
        self._codecs = {codec.id: codec for codec in added}
        self._lock = forks.Lock()

    @property
    def known(self) -> list[Codec]:
        """The codecs that were added or asked for so far."""
        return list(self._codecs.values())

    def add(self, codec: Codec) -> None:
        """Know one more codec, in place of another with its id."""
        with self._lock:
            self._codecs[codec.id] = codec

    def by_id(self, wanted: bytes) -> Codec:
        """Return the codec with an id, its entropy coder ready; CodecError if none has it."""
        codec = self._codecs.get(wanted)
        if codec is None:
            with self._lock:
                codec = self._codecs.get(wanted) or self._find_shipped(wanted)
                codec.coder  # noqa: B018 - read here, so that threads do not all do it
                self._codecs[wanted] = codec
        return codec

    def _find_shipped(self, wanted: bytes) -> Codec:
        candidates = [Codec(folder) for folder in shipped().values()]
        for codec in candidates:
            if codec.id == wanted:
                return codec
        codecs = {c.id: c for c in [*self._codecs.values(), *candidates]}.values()
        known = ", ".join(f"{codec.name} ({codec.id.hex()})" for codec in codecs) or "none"
        raise CodecError(
            f"stream was made by codec {wanted.hex()}, known here: {known}; give its folder with --codec"
        )
