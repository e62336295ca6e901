"""The manifest of a codec folder, read as what it is: text that anyone may have written."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from heliograph.codec.entropy_model import MAX_CHANNELS
from heliograph.codec.tiles import STRIDE
from heliograph.errors import CodecError
from heliograph.files import read_regular

MOST_BYTES, MOST_DEEP, MOST_FILES = 1 << 20, 100, 64
TILES = range(2 * STRIDE, 64 * STRIDE + 1, 2 * STRIDE)  # in pixels; in latents a tile is even, 2 to 64
_OBJECTS = ("encoder", "server_decoder", "preview_decoder", "recipe", "calibrated")
_COUNTS = ("kmac_per_pixel", "parameters")
# Names go into lines of a log, C comments and pages, names of files into paths that are written.
_NAME = re.compile(r"\w[\w .,+()-]{0,99}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,90}\.(bin|npz|tflite)")
_ID, _HASH = re.compile(r"[0-9a-f]{16}"), re.compile(r"[0-9a-f]{64}")


def check_name(name: str) -> None:
    """Raise CodecError unless a text can name a codec."""
    if not _NAME.fullmatch(name):
        raise CodecError(
            f"name is {name!r}, expected a letter or digit and up to 99 letters, digits, spaces or .,+()-_; "
            "give another"
        )


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a codec with every entry that this package uses checked.

    Raises:
        CodecError: there is none, it cannot be read, or an entry is not what it must be.
    """
    try:
        manifest = json.loads(read_regular(path, MOST_BYTES), parse_constant=_no_number, parse_float=_finite)
        if not isinstance(manifest, dict):
            raise ValueError(f"it is a {type(manifest).__name__}, expected an object")
        _check(manifest)
    except FileNotFoundError:
        raise CodecError(
            f"no codec in {path.parent}: {path.name} is missing; give a codec's name or its folder"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CodecError(f"cannot read {path}: {reason}; copy the codec folder again") from error
    return manifest


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _no_number(text)


def _check(manifest: dict[str, Any]) -> None:
    """Raise ValueError with the rule that an entry breaks."""
    files = manifest.get("files")
    tile, channels = manifest.get("tile"), manifest.get("channels")
    rules = {
        f"it is nested more than {MOST_DEEP} deep": _is_flat(manifest, MOST_DEEP),
        "'name' is no name of a codec": _is(manifest.get("name"), _NAME),
        "'architecture' is no name": _is(manifest.get("architecture", "none"), _NAME),
        "'id' is not 16 hexadecimal digits": _is(manifest.get("id"), _ID),
        f"'tile' is no multiple of {TILES.step} from {TILES[0]} to {TILES[-1]}": type(tile) is int
        and tile in TILES,
        f"'channels' is not 1 to {MAX_CHANNELS}": type(channels) is int and 1 <= channels <= MAX_CHANNELS,
        f"'files' are not at most {MOST_FILES} plain names ending in .bin, .npz or .tflite, each with a SHA-256": (
            isinstance(files, dict)
            and len(files) <= MOST_FILES
            and all(_is(name, _FILE) and _is(digest, _HASH) for name, digest in files.items())
        ),
    }
    for text, holds in rules.items():
        if not holds:
            raise ValueError(text)
    for entry in _OBJECTS:
        described = manifest.get(entry, {})
        if not isinstance(described, dict):
            raise ValueError(f"{entry!r} is no object")
        if not isinstance(described.get("decoder_continued", []), list):
            raise ValueError(f"'decoder_continued' of {entry!r} is no list")
        for count in _COUNTS:
            value = described.get(count, 0)
            if type(value) not in (int, float) or value < 0:
                raise ValueError(f"{count!r} of {entry!r} is no number from 0")

    copies = manifest.get("encoder", {}).get("latent_copies", [])
    if not isinstance(copies, list) or not all(
        type(one) is int and one in range(manifest["channels"]) for one in copies
    ):
        raise ValueError(f"'latent_copies' are not a list of latents, each from 0 and below {channels}")
    if copies != sorted(copies) or not {copies.count(one) for one in copies} <= {1, 3}:
        raise ValueError("'latent_copies' does not rise, or has a latent neither once nor three times")


def _is(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_flat(value: object, deep: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    return deep > 0 and all(
        _is_flat(v, deep - 1) for v in (value.values() if isinstance(value, dict) else value)
    )
