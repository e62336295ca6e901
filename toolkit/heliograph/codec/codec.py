"""What a codec is: a folder with manifest.json, the encoder, the tables, and the decoders, all hashed.

A folder may come from anyone. What its manifest says is checked when it is opened; files are read only if they are
files, of a stated size at most, and have the hash that the manifest says. Links are followed, wherever they lead: what
is behind one is subject to the same, so it is nothing that who made the folder did not know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec.coder import Coder
from heliograph.codec.contexts import steps_by_position
from heliograph.codec.manifest import read_manifest
from heliograph.codec.native_coder import NativeCoder, load_core
from heliograph.codec.numpy_coder import NumpyCoder
from heliograph.codec.tiles import STRIDE
from heliograph.codec.values import Values
from heliograph.errors import CodecError
from heliograph.files import read_regular

MANIFEST = "manifest.json"
ENCODER = "encoder.tflite"
ENTROPY = "entropy.bin"
PREVIEW = "decoder.tflite"
SERVER = "server_decoder.npz"
MOST_BYTES = (
    1 << 28
)  # of a file, but of the entropy model, whose format has a bound of its own below this one
MOST_ENTROPY_BYTES = 1 << 21


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def codec_id(encoder: bytes, entropy: bytes) -> bytes:
    """Return the 8-byte id: the first bytes of SHA-256 over the hashes of encoder and entropy model.

    The decoders are not part of it: they may improve while devices keep their codec.
    """
    return hashlib.sha256(bytes.fromhex(sha256(encoder)) + bytes.fromhex(sha256(entropy))).digest()[:8]


def open_coder(entropy: bytes) -> Coder:
    """Return the coder of an entropy file: in C where the extension was built, else in numpy.

    Raises:
        ValueError: it is no entropy file; the text says which rule it breaks.
    """
    core = load_core()
    return NumpyCoder(entropy) if core is None else NativeCoder(entropy, core)


class Codec:
    """A codec folder, its files checked against the manifest's hashes as they are read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder / MANIFEST)
        self.name: str = self.manifest["name"]
        self.id = bytes.fromhex(self.manifest["id"])
        self.tile: int = self.manifest["tile"]
        self.channels: int = self.manifest["channels"]
        # Of the encoder alone, which decoders need not know: so it is in no file that the id is made of
        self.copies: tuple[int, ...] = tuple(self.manifest.get("encoder", {}).get("latent_copies", ()))
        self.hashes: dict[str, str] = self.manifest["files"]

    @property
    def outputs(self) -> int:
        """How many channels the encoder's network gives: the latents, and further copies of some."""
        return self.channels + len(self.copies)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file of the codec; CodecError if it is missing, too large or not as hashed."""
        expected = self.hashes.get(name)
        if expected is None:
            raise CodecError(
                f"the manifest of codec {self.name} names no {name}; copy the codec folder again"
            )
        try:
            data = read_regular(self.folder / name, MOST_ENTROPY_BYTES if name == ENTROPY else MOST_BYTES)
        except OSError as error:
            raise CodecError(
                f"codec {self.name} lacks {name}: {error.strerror} in {self.folder}; "
                "copy the codec folder again"
            ) from None
        if (actual := sha256(data)) != expected:
            raise CodecError(
                f"{self.folder / name} was changed: SHA-256 is {actual[:12]}, the manifest says "
                f"{expected[:12]}; copy the codec folder again"
            )
        return data

    @cached_property
    def encoder(self) -> bytes:
        """The int8 encoder, a .tflite model; CodecError unless it and the entropy model make the id."""
        data = self.read(ENCODER)
        if codec_id(data, self.read(ENTROPY)) != self.id:
            raise CodecError(
                f"codec {self.name} has id {self.id.hex()} but its files make another; "
                "copy the codec folder again"
            )
        return data

    @cached_property
    def coder(self) -> Coder:
        """The entropy coder; see `open_coder`."""
        try:
            coder = open_coder(self.read(ENTROPY))
        except ValueError as error:
            raise CodecError(
                f"{self.folder / ENTROPY} is no entropy model: {error}; copy it again"
            ) from error
        if coder.model.channels != self.channels or coder.model.tile * STRIDE != self.tile:
            raise CodecError(
                f"codec {self.name}: its entropy model has {coder.model.channels} channels and tiles of "
                f"{coder.model.tile * STRIDE} pixels, the manifest says {self.channels} and {self.tile}"
            )
        return coder

    def replaced(self, files: Mapping[str, bytes], changes: Mapping[str, Any]) -> dict[str, bytes]:
        """Return all files of a codec like this one with some of them and manifest entries replaced, the manifest last.

        The id follows from the files: it changes with the encoder or the entropy model and with nothing else.
        """
        contents = {name: self.read(name) for name in self.hashes} | dict(files)
        manifest = self.manifest | dict(changes)
        manifest["id"] = codec_id(contents[ENCODER], contents[ENTROPY]).hex()
        manifest["files"] = {name: sha256(data) for name, data in contents.items()}
        return contents | {MANIFEST: (json.dumps(manifest, indent=2) + "\n").encode()}

    def steps(self, values: Values, level: int) -> npt.NDArray[np.int64]:
        """Return the steps that values int16 [h, w, C] of a level have, int64 [h, w, C], in 1/16 latent unit.

        Both are in the encoder's channel order.
        """
        model = self.coder.model
        out = np.empty(values.shape, np.int64)
        out[..., model.order] = steps_by_position(model, values[..., model.order], level)
        return out
