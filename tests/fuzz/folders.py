"""Fuzzed codec folders: manifests, and the .npz files of server decoders and checkpoints."""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tests.fuzz.corpus import GOLDEN
from tests.fuzz.havoc import NUMBERS, change_bytes, change_json

from heliograph.codec.codec import MANIFEST, Codec
from heliograph.codec.manifest import TILES
from heliograph.errors import CodecError, TrainingError
from heliograph.server.arrays import read_arrays

FULL = {
    "architecture": "accelerator",
    "encoder": {"kmac_per_pixel": 0.8, "parameters": 100},
    "server_decoder": {"widths": [16, 16, 8, 8], "blocks": [1, 1, 1, 1], "parameters": 7},
    "preview_decoder": {"kmac_per_pixel": 3},
    "recipe": {"decoder_continued": [{"seed": 1}], "steps": 100},
    "calibrated": {"pictures": 3},
}
KINDS = (
    "<f4",
    ">f4",
    "<f2",
    "<f8",
    "<f16",
    "<i4",
    "|O",
    "|V8",
    "<U4",
    "<c8",
    "|b1",
    "<M8[s]",
    "",
    "<f999999999",
)


def manifests(folder: Path) -> Callable[[random.Random], None]:
    """Fuzz manifest.json: a codec whose entries are what they must be, or a CodecError of one line."""
    shutil.copytree(GOLDEN / "codec", folder / "codec")
    path = folder / "codec" / MANIFEST
    known = json.loads(path.read_text(encoding="utf-8")) | FULL

    def once(rng: random.Random) -> None:
        manifest: Any = known
        for _ in range(rng.randint(0, 3)):
            manifest = change_json(manifest, rng)
        text = json.dumps(manifest).encode()
        if rng.random() < 0.3:
            text = change_bytes(text, rng)
        if rng.random() < 0.05:
            text = text.replace(b"0", rng.choice((b"1e999", b"NaN", b"-Infinity", b"9" * 5000)), 1)
        path.write_bytes(text)
        said = ""
        try:
            codec = Codec(folder / "codec")
            assert codec.tile in TILES
            assert 1 <= codec.channels <= 512
            assert all("/" not in name and not name.startswith(".") for name in codec.hashes)
            for name in codec.hashes:
                codec.read(name)
            assert codec.encoder
            assert codec.coder.model.channels == codec.channels
        except CodecError as error:
            said = str(error)
        assert "\n" not in said

    return once


def member(array: npt.NDArray[Any], rng: random.Random) -> bytes:
    """Return an .npy file, of which the header lies most times."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    data = buffer.getvalue()
    kind = rng.randrange(6)
    if kind == 0:
        return data
    if kind == 1:
        return change_bytes(data, rng)
    shape: tuple[Any, ...] = array.shape
    if rng.random() < 0.6:
        shape = tuple(rng.choice((*NUMBERS, -1, 1 << 40, True, None)) for _ in range(rng.randrange(4)))
    described: object = {
        "descr": rng.choice((*KINDS, [("a", "<f4")])) if rng.random() < 0.6 else array.dtype.str,
        "fortran_order": rng.random() < 0.3,
        "shape": shape,
    }
    text = repr(described) if rng.random() < 0.9 else "(" * rng.choice((10, 3000)) + repr(described)
    header = (text + "\n").encode()[:60000]
    version = bytes(rng.choice(((1, 0), (1, 0), (2, 0), (3, 0), (9, 9))))
    length = struct.pack("<H", len(header)) if version[0] == 1 else struct.pack("<I", len(header))
    body = array.tobytes()
    if rng.random() < 0.3:
        body = body[: rng.randrange(len(body) + 1)] + bytes(rng.choice((0, 0, 100, 1 << 20)))
    return b"\x93NUMPY" + version + length + header + body


def archive(arrays: Mapping[str, npt.NDArray[Any]], rng: random.Random) -> bytes:
    """Return an .npz file of arrays, one or two of its members made to lie; the CRCs of all members fit."""
    buffer = io.BytesIO()
    lying = rng.sample(sorted(arrays), min(len(arrays), rng.randint(0, 2)))
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(buffer, "w", packing) as out:
        for name, array in arrays.items():
            if name in lying and rng.random() < 0.1:
                continue
            if name in lying and rng.random() < 0.2:
                array = np.full_like(array, rng.choice((np.nan, np.inf)))
            plain = io.BytesIO()
            np.save(plain, array)
            out.writestr(f"{name}.npy", member(array, rng) if name in lying else plain.getvalue())
    data = buffer.getvalue()
    if rng.random() < 0.4:  # most of a small change falls on the directory, which is what zipfile believes
        at = data.rfind(b"PK\1\2") if rng.random() < 0.7 else 0
        data = data[:at] + change_bytes(data[at:], rng)
    return data


def arrays(folder: Path) -> Callable[[random.Random], None]:
    """Fuzz what reads a server decoder's weights: arrays of the shapes expected, or a ValueError."""
    made = {name: np.ones(shape, np.float16) for name, shape in {"a/b": (3, 2), "c": (), "d": (5,)}.items()}
    shapes = {name: array.shape for name, array in made.items()}

    def once(rng: random.Random) -> None:
        data = archive(made, rng)
        try:
            for name, array in read_arrays(data, shapes):
                assert array.shape == shapes[name]
                assert array.dtype == np.float32
                assert np.isfinite(array).all()
        except ValueError:
            pass

    return once


def decoders(folder: Path) -> Callable[[random.Random], None]:
    """Fuzz a server decoder's description and weights, and a checkpoint of training, into real networks."""
    from heliograph.server.decoder import decoder_spec, load_weights
    from heliograph.server.network import DecoderSpec, build_decoder
    from heliograph.train import checkpoint

    shutil.copytree(GOLDEN / "codec", folder / "decoder")
    path = folder / "decoder" / MANIFEST
    known = json.loads(path.read_text(encoding="utf-8")) | FULL
    network = build_decoder(DecoderSpec(widths=(4, 4, 4, 4), blocks=(1, 0, 0, 0)), 24)
    weights = {v.path: np.asarray(v.value).astype(np.float16) for v in network.weights}
    stored = {f"0:{v.path}": np.asarray(v.value) for v in network.variables} | {"step": np.asarray(3.0)}
    file = folder / "checkpoint.npz"

    def once(rng: random.Random) -> None:
        kind = rng.randrange(3)
        try:
            if kind == 0:
                described = change_json(known["server_decoder"], rng)
                path.write_text(json.dumps(known | {"server_decoder": described}), encoding="utf-8")
                assert len(decoder_spec(Codec(folder / "decoder")).widths) == 4
            elif kind == 1:
                load_weights(archive(weights, rng), network)
            else:
                file.write_bytes(archive(stored, rng))
                assert all(isinstance(v, float) for v in checkpoint.load(file, network).values())
        except CodecError:
            assert kind < 2
        except TrainingError:
            assert kind == 2

    return once
