"""Names that come from the line, and are hostile until they have passed here."""

from __future__ import annotations

import re
from collections.abc import Iterator

from heliograph.errors import LinkError

MAX_DEVICE = 32
MAX_NAME = 96
MAX_STREAM = 1 << 26  # bytes
CANNOT_GO = (
    f"its name or size cannot go over the link: up to {MAX_NAME} letters, digits, '.', '_' and '-', and up to "
    f"{MAX_STREAM >> 20} MiB, can; it stays in the spool"
)
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_STREAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.helio")


def is_device(name: str) -> bool:
    """Return whether a text may name a device: letters, digits, `.`, `_`, `-`, not a dot or dash first."""
    return len(name) <= MAX_DEVICE and _DEVICE.fullmatch(name) is not None


def is_stream(name: str) -> bool:
    """Return whether a text may name a stream: characters as for a device, `.helio` last."""
    return len(name) <= MAX_NAME and _STREAM.fullmatch(name) is not None


def bears(name: str, digest: bytes) -> bool:
    """Return whether a stream's name ends in the first 8 hexadecimal digits of a SHA-256, as a spool names them."""
    digits = name.removesuffix(".helio").rpartition("-")[2]
    return len(digits) == 8 and digest.hex().startswith(digits)


def apart(name: str, digest: bytes) -> Iterator[str]:
    """Yield names to keep a stream under: its own; if another has that, ones with digits of its SHA-256, ever more."""
    yield name
    for digits in (8, 16, 32, 64):
        end = f".{digest.hex()[:digits]}.helio"
        yield name.removesuffix(".helio")[: MAX_NAME - len(end)] + end


def check_device(name: str) -> str:
    """Return a device name a user gave; LinkError if it is not one."""
    if not is_device(name):
        raise LinkError(
            f"device name {name!r} cannot be used: expected 1 to {MAX_DEVICE} letters, digits, '.', '_' or '-', "
            "a letter or digit first; give another with --device"
        )
    return name


def device_from_host(host: str) -> str:
    """Return the host's name as a device name, other characters replaced by dashes."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "-", host).lstrip("._-")[:MAX_DEVICE]
    return cleaned or "device"
