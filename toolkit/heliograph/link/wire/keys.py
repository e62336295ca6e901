"""Key files, and what is derived from them: seals of sessions and tags of one-way frames (LINK.md, section 5)."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any

from heliograph.errors import LinkError
from heliograph.extras import install
from heliograph.files import sync_folder

KEY_BYTES = 32
TAG_BYTES = 16
MAGIC = "heliograph-key-1"
_TEXT = re.compile(rf"{MAGIC} ([0-9a-f]{{{2 * KEY_BYTES}}})\n?")


def new_key_file(path: Path) -> None:
    """Write a new random key, readable by its owner only; LinkError if the file exists or cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write(f"{MAGIC} {secrets.token_hex(KEY_BYTES)}\n")
            handle.flush()
            os.fsync(handle.fileno())
        sync_folder(path.parent)
    except FileExistsError:
        raise LinkError(
            f"key file {path} exists already and devices may hold it; give another name, or remove it first"
        ) from None
    except OSError as error:
        raise LinkError(f"cannot write key file {path}: {error.strerror}; give another place") from error


def read_key_file(path: Path) -> bytes:
    """Return the 32 bytes of a key file.

    Raises:
        LinkError: it cannot be read, others than its owner may read or write it, or it holds no key.
    """
    try:
        with path.open("rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            text = handle.read(200)
    except OSError as error:
        raise LinkError(
            f"cannot read key file {path}: {error.strerror}; "
            f"check the path, or make one with heliograph send --new-key {path}"
        ) from error
    if stat.S_ISREG(mode) and stat.S_IMODE(mode) & 0o077:
        raise LinkError(
            f"key file {path} can be read or written by others (mode {stat.S_IMODE(mode):04o}, expected 0600): "
            f"chmod 600 {path}, and make a new key if others may have read it"
        )
    match = _TEXT.fullmatch(text.decode("ascii", "replace"))
    if not match:
        raise LinkError(
            f"{path} is no key file: expected one line, '{MAGIC}' and {2 * KEY_BYTES} hexadecimal digits; "
            f"make one with heliograph send --new-key FILE"
        )
    return bytes.fromhex(match[1])


def derive(key: bytes, salt: bytes, purpose: str, size: int = 32) -> bytes:
    """Return HKDF-SHA256 of a key (RFC 5869), at most 255 * 32 bytes; `purpose` is its info."""
    secret = hmac.digest(salt or bytes(32), key, "sha256")
    out, block = b"", b""
    while len(out) < size:
        block = hmac.digest(secret, block + purpose.encode() + bytes([len(out) // 32 + 1]), "sha256")
        out += block
    return out[:size]


def tag(key: bytes, data: bytes) -> bytes:
    """Return the first 16 bytes of HMAC-SHA256."""
    return hmac.digest(key, data, hashlib.sha256)[:TAG_BYTES]


def is_tag(key: bytes, data: bytes, candidate: bytes) -> bool:
    """Return whether a tag is the one of these bytes, in constant time."""
    return hmac.compare_digest(tag(key, data), candidate)


class Seal:
    """ChaCha20-Poly1305 (RFC 8439) with one key, in one direction; the nonce is the packet's number."""

    def __init__(self, key: bytes) -> None:
        try:
            module = importlib.import_module("cryptography.hazmat.primitives.ciphers.aead")
        except ImportError as error:
            raise LinkError(
                f"--key-file needs the package cryptography ({error}): {install('link')}"
            ) from error
        self._aead: Any = module.ChaCha20Poly1305(key)

    def close(self, counter: int, data: bytes, head: bytes) -> bytes:
        """Return the encrypted bytes and their tag; `head` is authenticated with them."""
        sealed: bytes = self._aead.encrypt(counter.to_bytes(12, "little"), data, head)
        return sealed

    def open(self, counter: int, sealed: bytes, head: bytes) -> bytes | None:
        """Return the bytes, or None if they were not sealed with this key and number."""
        if len(sealed) < TAG_BYTES:
            return None
        try:
            data: bytes = self._aead.decrypt(counter.to_bytes(12, "little"), sealed, head)
        except Exception as error:  # InvalidTag, whose module must not be imported where it is missing
            if type(error).__name__ != "InvalidTag":
                raise
            return None
        return data
