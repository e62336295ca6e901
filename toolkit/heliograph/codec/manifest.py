"""What a codec is: a folder with manifest.json, the encoder, the tables, and the decoders, all hashed."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.codec import entropy, rate
from heliograph.errors import CodecError, StreamError

MANIFEST = "manifest.json"
ENCODER = "encoder.tflite"
TABLES = "tables.npz"
PREVIEW = "decoder.tflite"
SERVER = "server_decoder.npz"
NOT_SENT = 255  # table index of a channel that a quality leaves out


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def codec_id(encoder: bytes, tables: bytes) -> bytes:
    """Return the 8-byte id: the first bytes of SHA-256 over the hashes of encoder and tables.

    The decoders are not part of it: they may improve while devices keep their codec.
    """
    return hashlib.sha256(bytes.fromhex(sha256(encoder)) + bytes.fromhex(sha256(tables))).digest()[:8]


@dataclass(frozen=True)
class RateTables:
    """Integer tables of a codec, shared by both ends.

    Attributes:
        steps: uint16 [101, C], in sixteenths of a latent unit.
        index: uint8 [101, C], entropy table of each channel, 255 where the channel is not sent.
        rounding: uint8 [101], dead-zone rounding in 1/256 of a step.
        tables: the frequency tables.
    """

    steps: npt.NDArray[np.uint16]
    index: npt.NDArray[np.uint8]
    rounding: npt.NDArray[np.uint8]
    tables: entropy.Tables

    def __post_init__(self) -> None:
        channels = self.steps.shape[-1]
        sent = self.index[self.index != NOT_SENT]
        if (
            self.steps.shape != (rate.QUALITIES, channels)
            or self.index.shape != self.steps.shape
            or self.rounding.shape != (rate.QUALITIES,)
            or self.steps.min() < rate.STEP_UNIT
            or self.rounding.max() > rate.ROUND_UNIT // 2
            or (sent.size and sent.max() >= len(self.tables.count))
        ):
            raise ValueError("rate tables have a wrong shape or a value out of range")

    def to_bytes(self) -> bytes:
        """Return the tables as the bytes of an .npz file."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            steps=self.steps,
            index=self.index,
            rounding=self.rounding,
            frequency=self.tables.frequency,
            count=self.tables.count,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> RateTables:
        """Invert `to_bytes`; ValueError or KeyError where the content is not such tables."""
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            tables = entropy.Tables(stored["frequency"], stored["count"])
            return cls(stored["steps"], stored["index"], stored["rounding"], tables)

    def encode(self, latents: npt.NDArray[np.int8], quality: int) -> tuple[int, bytes]:
        """Quantise and entropy-code latents int8 [h, w, C]; return (lanes, payload)."""
        steps, index = self.steps[quality], self.index[quality]
        symbols = rate.quantise(latents, steps, int(self.rounding[quality]))
        sent = np.flatnonzero(index != NOT_SENT)
        planes = symbols[..., sent].transpose(2, 0, 1).reshape(len(sent), -1)  # channel by channel
        table = np.repeat(index[sent], planes.shape[1])
        return entropy.encode(planes.reshape(-1), table, self.tables)

    def decode(
        self, payload: bytes, lanes: int, quality: int, shape: tuple[int, int]
    ) -> npt.NDArray[np.int16]:
        """Invert `encode` up to the quantisation: symbols int16 [h, w, C]; StreamError if corrupt."""
        index = self.index[quality]
        sent = np.flatnonzero(index != NOT_SENT)
        positions = shape[0] * shape[1]
        least = positions * entropy.least_bits(index[sent], self.tables) / 8
        if least > len(payload) + 8:  # checked before anything is allocated for the picture
            raise StreamError(
                f"stream is corrupt: a picture of {shape[1]}x{shape[0]} latents needs at least {least:.0f} "
                f"bytes at quality {quality}, got {len(payload)}; fetch the file again"
            )
        flat = entropy.decode(payload, lanes, np.repeat(index[sent], positions), self.tables)
        symbols = np.zeros((*shape, len(index)), np.int16)
        symbols[..., sent] = flat.reshape(len(sent), *shape).transpose(1, 2, 0)
        return symbols


class Codec:
    """A codec folder, its files checked against the manifest's hashes as they are read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / MANIFEST
        try:
            loaded = json.loads(path.read_text(encoding="utf-8"))
            self.manifest: dict[str, Any] = dict(loaded)
            self.name = str(self.manifest["name"])
            self.id = bytes.fromhex(self.manifest["id"])
            self.tile = int(self.manifest["tile"])
            self.channels = int(self.manifest["channels"])
            self.hashes: dict[str, str] = dict(self.manifest["files"])
        except FileNotFoundError:
            raise CodecError(
                f"no codec in {folder}: {MANIFEST} is missing; give a codec's name or its folder"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CodecError(f"cannot read {path}: {error!r}; copy the codec folder again") from error

    def read(self, name: str) -> bytes:
        """Return the bytes of a file of the codec; CodecError if it is missing or not as hashed."""
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise CodecError(
                f"codec {self.name} lacks {name}: {error.strerror} in {self.folder}; copy the codec folder again"
            ) from None
        found, expected = sha256(data), self.hashes.get(name)
        if found != expected:
            raise CodecError(
                f"{self.folder / name} was changed: SHA-256 is {found[:12]}, the manifest says "
                f"{str(expected)[:12]}; copy the codec folder again"
            )
        return data

    @cached_property
    def encoder(self) -> bytes:
        """The int8 encoder, a .tflite model; CodecError unless it and the tables make the codec's id."""
        data = self.read(ENCODER)
        if codec_id(data, self.read(TABLES)) != self.id:
            raise CodecError(
                f"codec {self.name} has id {self.id.hex()} but its files make another; copy the codec folder again"
            )
        return data

    @cached_property
    def rates(self) -> RateTables:
        """The integer tables."""
        try:
            rates = RateTables.from_bytes(self.read(TABLES))
        except (ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CodecError(f"{self.folder / TABLES} is not a table file: {error}; copy it again") from error
        if rates.steps.shape[1] != self.channels:
            raise CodecError(
                f"codec {self.name}: tables have {rates.steps.shape[1]} channels, the manifest {self.channels}"
            )
        return rates


def shipped_folder() -> Path:
    """Return where the shipped codecs lie: beside the installed package, or the repository's folder."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "firmware_models"
    return installed if installed.is_dir() else package.parents[1] / "firmware_models"


def shipped() -> dict[str, Path]:
    """Return name and folder of every shipped codec."""
    folder = shipped_folder()
    return {p.parent.name: p.parent for p in sorted(folder.glob(f"*/{MANIFEST}"))}


def find(name_or_folder: str) -> Codec:
    """Return a codec by the name of a shipped one or by its folder."""
    known = shipped()
    if name_or_folder in known:
        return Codec(known[name_or_folder])
    folder = Path(name_or_folder)
    if not folder.is_dir():
        raise CodecError(
            f"no codec named {name_or_folder!r}: shipped are {', '.join(known) or 'none'}; "
            "or give the folder of a codec"
        )
    return Codec(folder)


def find_by_id(wanted: bytes, extra: Codec | None = None) -> Codec:
    """Return the codec with an id, among `extra` and the shipped ones; CodecError if none has it."""
    candidates = ([extra] if extra else []) + [Codec(p) for p in shipped().values()]
    for codec in candidates:
        if codec.id == wanted:
            return codec
    known = ", ".join(f"{c.name} ({c.id.hex()})" for c in candidates) or "none"
    raise CodecError(
        f"stream was made by codec {wanted.hex()}, known here: {known}; give its folder with --codec"
    )
