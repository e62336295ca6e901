"""Makes the golden files from a random entropy model; what it writes is what the repository holds.

    python tests/golden/make.py [FOLDER]

Streams of a released version must decode for ever: never change a file here, only add.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
from crc32c import crc32c

from heliograph.codec import container
from heliograph.codec.codec import ENCODER, ENTROPY, MANIFEST, Codec, codec_id, sha256
from heliograph.codec.levels import from_quality
from heliograph.codec.pack import Packer
from heliograph.codec.stream import Decoded, decode_stream
from heliograph.codec.thin import thin
from heliograph.codec.tiles import latent_shape, scaled
from heliograph.codec.values import UNIT, to_int8

HERE = Path(__file__).resolve().parent

# name: width, height, quality, slice side in tiles of 64 pixels, scale of the latents
STREAMS = {
    "one-pixel": (1, 1, 50, 0, 20.0),
    "one-tile": (64, 64, 0, 0, 20.0),
    "row": (700, 5, 80.5, 0, 30.0),
    "column": (9, 500, 20.125, 0, 30.0),
    "coarsest": (333, 217, -27.875, 0, 30.0),
    "finest": (333, 217, 100, 0, 30.0),
    "lanes": (500, 400, 100, 0, 60.0),
    "slices": (333, 217, 40, 1, 30.0),
    "two-by-two": (250, 250, 66.625, 2, 10.0),
    "flat": (160, 160, 30, 0, 0.0),
}
# name: the stream it refers to, quality, slice side in tiles, noise on that one's latents
REFERRING = {
    "referring": ("coarsest", 40, 0, 3.0),
    "finer": ("referring", 100, 0, 0.0),
    "deep": ("finer", 25, 1, 20.0),
    "from-flat": ("flat", 50, 0, 10.0),
    "one-position": ("one-pixel", 70, 0, 0.0),
    "thinned": ("lanes", 60, 0, 10.0),
}
# name: width, height, quality, slice side in tiles, scale of the latents, scale, the stream it refers to
SCALED = {
    "scaled": (333, 217, 40, 0, 30.0, 3, None),
    "scaled-slices": (1001, 333, 20, 1, 10.0, 2, None),
    "scaled-away": (65535, 3, 50, 0, 20.0, 31, None),
    "short": (64, 64, 10, 0, 5.0, 0, None),
    "short-pixel": (1, 1, 50, 0, 20.0, 0, None),
    "short-flat": (160, 160, 30, 0, 0.0, 5, None),
    "short-scaled": (333, 217, 0, 0, 5.0, 3, None),
    "short-referring": (333, 217, 10, 0, 5.0, 3, "short-scaled"),
}
# name: width, height, quality, slice side in tiles, scale of the latents, scale, parts that are left by thinning
REFINED = {
    "refined": (333, 217, 50, 0, 30.0, 0, 4),
    "refined-slices": (333, 217, 80, 1, 20.0, 0, 4),
    "refined-scaled": (500, 400, 30, 0, 40.0, 1, 4),
    "refined-thinned": (500, 400, 70, 2, 40.0, 0, 3),
    "base": (500, 400, 70, 2, 40.0, 0, 1),
}
BASE_AT = (
    18  # where the header of "refined" has the level of its base: after two bytes each of width and height
)
REFERENCE_AT = (
    18  # where the header of "referring" names its reference: after two bytes each of width and height
)


def load_models() -> ModuleType:
    """Return the module that makes random models and latents."""
    spec = importlib.util.spec_from_file_location("codec_models", HERE.parent / "codec/conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its data classes look for what they are annotated with
    spec.loader.exec_module(module)
    return module


def make(folder: Path) -> None:
    """Write the codec, the streams with what they decode to, and the streams that must fail."""
    models = load_models()
    codec = make_codec(folder / "codec", models.make_model(1).to_bytes())
    streams: dict[str, bytes] = {}
    expected: dict[str, object] = {}
    known: dict[str, Decoded] = {}

    def keep(name: str, data: bytes, to: str | None = None) -> None:
        references = {known[to].picture_id: known[to].values} if to else None
        known[name] = decode_stream(data, codec, references=references)
        streams[name], expected[name] = data, describe(known[name], to)

    for number, (name, (width, height, quality, tiles, scale)) in enumerate(STREAMS.items()):
        latents = models.make_latents(number, -(-height // 16), -(-width // 16), scale)
        if not scale:
            latents[:] = 0
        packer = Packer(codec, latents, width, height, slice_tiles=tiles, strength=0, whole=True)
        keep(name, packer.at(from_quality(quality)))
    for number, (name, (to, quality, tiles, noise)) in enumerate(REFERRING.items()):
        there = known[to]
        latents = to_int8(there.values).astype(int)
        change = np.random.default_rng(number).laplace(0, noise, latents.shape) * (noise > 0)
        changed = (UNIT * np.clip(np.round(latents + change), -128, 127)).astype(np.int16)
        packer = Packer(
            codec,
            changed,
            there.width,
            there.height,
            slice_tiles=tiles,
            strength=0,
            layered=name == "thinned",
            whole=True,
            reference=there.as_reference(),
        )
        data = packer.at(from_quality(quality))
        keep(name, thin(data, 1) if name == "thinned" else data, to)
    for number, (name, (width, height, quality, tiles, spread, scale, other)) in enumerate(SCALED.items()):
        latents = models.make_latents(
            number, *latent_shape(scaled(width, scale), scaled(height, scale)), spread
        )
        reference = known[other].as_reference() if other else None
        packer = Packer(
            codec,
            latents,
            width,
            height,
            slice_tiles=tiles,
            strength=0,
            whole=not name.startswith("short"),
            reference=reference,
            scale=scale,
        )
        keep(name, packer.at(from_quality(quality)), other)
    for number, (name, (width, height, quality, tiles, spread, scale, parts)) in enumerate(REFINED.items()):
        shape = latent_shape(scaled(width, scale), scaled(height, scale))
        latents = models.make_latents(number, *shape, spread)
        packer = Packer(
            codec, latents, width, height, slice_tiles=tiles, layered=True, base=True, scale=scale
        )
        whole = packer.at(from_quality(quality))
        assert container.open(whole).header.is_refined
        keep(name, thin(whole, parts))
    for name, data in streams.items():
        (folder / f"{name}.helio").write_bytes(data)
    (folder / "streams.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")
    texts = {}
    (folder / "errors").mkdir(exist_ok=True)
    bad = broken(*(streams[name] for name in ("one-tile", "finest", "referring", "short", "refined")))
    for name, (data, text) in bad.items():
        (folder / "errors" / f"{name}.helio").write_bytes(data)
        texts[name] = text
    (folder / "errors/errors.json").write_text(json.dumps(texts, indent=1) + "\n", encoding="utf-8")


def make_codec(folder: Path, entropy: bytes) -> Codec:
    """Write a codec folder with an entropy model and no network, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {ENCODER: b"no network\n", ENTROPY: entropy}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = {
        "name": "golden",
        "id": codec_id(*files.values()).hex(),
        "tile": 64,
        "channels": 24,
        "files": {name: sha256(data) for name, data in files.items()},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return Codec(folder)


def describe(decoded: Decoded, to: str | None) -> dict[str, object]:
    """Return what a stream decodes to, and the golden stream that it refers to."""
    return {
        "width": decoded.width,
        "height": decoded.height,
        "level": decoded.level,
        "scale": decoded.scale,
        "reference": to,
        "depth": decoded.as_reference().depth,
        "nonzero": int(np.count_nonzero(decoded.values)),
        "values": hashlib.sha256(decoded.values.astype("<i2").tobytes()).hexdigest(),
        "picture_id": decoded.picture_id.hex(),
    }


def broken(
    small: bytes, large: bytes, referring: bytes, short: bytes, refined: bytes
) -> dict[str, tuple[bytes, str]]:
    """Return streams that must fail, each with a part of the error's text."""
    stream = container.open(small)
    at, length = stream.segments[0]

    def payload(change: dict[int, int], cut: int = 0) -> bytes:
        body = bytearray(small[at : at + length])
        for place, value in change.items():
            body[place] = value
        kept = bytes(body[: length - cut])
        return container.pack(stream.header, [kept])

    def head(change: dict[int, int]) -> bytes:
        body = bytearray(small[: stream.size - 4])
        for place, value in change.items():
            body[place] = value
        crc = crc32c(bytes(body))
        rest = struct.pack("<I", container.segment_crc(crc, 0, small[at : at + length]))
        return bytes(body) + struct.pack("<I", crc) + small[at : at + length] + rest

    def sealed(body: bytes) -> bytes:
        return body + struct.pack("<I", crc32c(body))

    def scaled(scale: int) -> bytes:
        bits = bytes([small[12], small[13] | 0x80])
        return sealed(small[:12] + bits + small[14:16] + bytes([scale]) + small[16 : stream.size - 4])

    def rebased(change: dict[int, int]) -> bytes:
        body = bytearray(refined[: container.open(refined).size - 4])
        for place, value in change.items():
            body[place] = value
        return sealed(bytes(body))

    short_head = b"HLO\x82" + short[4:12] + b"\xf4\x01"
    referred = container.open(referring)
    deepless = bytearray(referring[: referred.size - 4])
    deepless[REFERENCE_AT + 9] &= 3  # the upper bits are the depth
    flipped = bytearray(large)
    flipped[len(large) // 2] ^= 4
    return {
        "empty": (b"", "not a .helio stream"),
        "a-jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "not a .helio stream"),
        "version-1": (small[:3] + b"\x01" + small[4:], "format version 1"),
        "a-later-version": (small[:3] + b"\x03" + small[4:], "format version 3"),
        "header-cut": (small[:17], "cut in its header"),
        "header-flipped": (small[:5] + bytes([small[5] ^ 1]) + small[6:], "header is corrupt: CRC-32C"),
        "scale-0": (scaled(0), "its scale is 0"),
        "scale-32": (scaled(32), "its scale is 32"),
        "short-cut": (short[:-1], "all or nothing"),
        "short-bytes-added": (short + b"\x00", "has bytes added"),
        "short-flipped": (short[:-6] + bytes([short[-6] ^ 1]) + short[-5:], "CRC-32C of the stream"),
        "short-of-many-positions": (sealed(short_head + b"\x81\x08\x81\x08\x00"), "4225 positions"),
        "short-too-long": (sealed(short_head + b"\x10\x10\x80\x80\x01" + bytes(16384)), "16384 bytes"),
        "short-state-too-long": (sealed(short_head + b"\x10\x10\x02\x05\x00"), "corrupt"),
        "short-not-at-its-end": (sealed(short_head + b"\x10\x10\x01\x05"), "corrupt"),
        "no-width": (head({14: 0}), "picture is 0x64"),
        "two-parts": (
            container.pack(container.Header(stream.header.codec_id, 16, 16, 9, 2), [b"", b""]),
            "2 segments in a slice",
        ),
        "cut": (large[:-1], "stream is cut"),
        "bytes-added": (small + b"\x00", "has bytes added"),
        "segment-flipped": (bytes(flipped), "the CRC-32C of segment"),
        "too-many-lanes": (payload({0: 7}), "corrupt"),
        "state-too-small": (payload({3: 0, 4: 0}), "corrupt"),
        "words-cut": (payload({}, cut=2), "corrupt"),
        "half-a-word-cut": (payload({}, cut=1), "corrupt"),
        "no-reference": (referring, "stream refers to picture"),
        "reference-cut": (referring[: REFERENCE_AT + 5], "cut in its header"),
        "no-depth": (
            bytes(deepless) + struct.pack("<I", crc32c(bytes(deepless))),
            "its reference has depth 0",
        ),
        "refined-and-short": (sealed(b"HLO\xc2" + short[4:-4]), "the short form has no base"),
        "refined-and-referring": (rebased({13: refined[13] | 0x40}), "it is refined and refers to a picture"),
        "base-finer": (rebased({BASE_AT + 1: 3}), "its base has level"),
        "base-cut": (refined[: BASE_AT + 1], "cut in its header"),
        "refined-by-two-parts": (
            container.pack(container.Header(stream.header.codec_id, 16, 16, 9, 3, base_level=8), [b""] * 3),
            "2 segments in a slice",
        ),
        "another-codec": (head({4: small[4] ^ 1}), "stream was made by codec"),
    }


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
