"""Fuzzed streams and entropy files, whose checksums fit: the C core and numpy agree on all that comes out of them."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from crc32c import crc32c
from tests.codec.conftest import make_model
from tests.fuzz.corpus import GOLDEN, SHAPES, small_streams
from tests.fuzz.havoc import change_bytes, change_number

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.coder import Coder, Reference
from heliograph.codec.description import describe
from heliograph.codec.entropy_model import EntropyModel
from heliograph.codec.native_coder import NativeCoder, load_core
from heliograph.codec.numpy_coder import NumpyCoder
from heliograph.codec.stream import decode_stream
from heliograph.codec.thin import thin
from heliograph.codec.values import HIGHEST, LOWEST, Values
from heliograph.errors import HeliographError, StreamError

MOST_PIXELS = 4_000_000  # larger announcements take their time by right
MOST_POSITIONS = 40  # that numpy decodes as well


def change_fields(data: bytes, rng: random.Random) -> bytes:
    """Return a stream with a legal header of other fields and its segments, changed, cut or moved."""
    stream = container.open(data)
    header = stream.header
    field, below = rng.choice(
        [
            ("width", 65536),
            ("height", 65536),
            ("level", 1024),
            ("parts", 9),
            ("side", 4097),
            ("scale", 32),
            ("is_short", 2),
            ("base_level", 1024),
        ]
    )
    if field == "is_short":
        header = replace(header, parts=1, side=0)
    if field == "base_level" and header.base_level is None:
        header = replace(header, parts=header.parts + 1)
    header = replace(header, **{field: change_number(getattr(header, field) or 0, rng, below)})  # type: ignore[arg-type]
    if header.reference is not None and rng.random() < 0.2:
        level, depth = rng.randrange(1024), rng.randint(1, container.MAX_DEPTH)
        header = replace(header, reference=replace(header.reference, level=level, depth=depth))
    segments = [stream.segment(n) or b"" for n in range(len(stream.segments))]
    if segments and rng.random() < 0.8:
        at = rng.randrange(len(segments))
        segments[at] = change_bytes(segments[at], rng)
    if not 1 <= header.width * header.height <= MOST_PIXELS:
        return data
    count = header.parts * header.slice_count
    if count > 4096:
        return data
    segments = [segments[n % len(segments)] if rng.random() < 0.9 else b"" for n in range(count)]
    try:
        return container.pack(header, segments)
    except (ValueError, HeliographError):  # a field that nobody could pack
        return data


def change_whole(data: bytes, rng: random.Random) -> bytes:
    """Return a stream with changes anywhere, most with the CRC of its header made anew, and all of its segments'."""
    stream = container.open(data)
    if stream.header.is_short:
        body = data[:4] + change_bytes(data[4 : -container.CRC_BYTES], rng)
        return body + struct.pack("<I", crc32c(body) if rng.random() < 0.95 else stream.crc)
    end = stream.size - container.CRC_BYTES
    head, body = data[:end], data[stream.size :]
    if rng.random() < 0.5:
        head = head[:4] + change_bytes(head[4:], rng)
    else:
        body = change_bytes(body, rng)
    if rng.random() < 0.2:
        body = body[: rng.randrange(len(body) + 1)]
    crc = crc32c(head) if rng.random() < 0.95 else stream.crc
    out = bytearray(head + struct.pack("<I", crc) + body)
    try:
        stream = container.open(bytes(out))
    except StreamError:
        return bytes(out)
    for number, (at, length) in enumerate(stream.segments):
        if length and at + length + container.CRC_BYTES <= len(out) and rng.random() < 0.95:
            crc = container.segment_crc(stream.crc, number, bytes(out[at : at + length]))
            struct.pack_into("<I", out, at + length, crc)
    return bytes(out)


def streams(folder: Path) -> Callable[[random.Random], None]:
    """Fuzz what is done with a stream up to its values."""
    codec = Codec(GOLDEN / "codec")
    in_numpy = Codec(GOLDEN / "codec")
    in_numpy.coder = NumpyCoder(codec.coder.model.to_bytes())
    there: dict[bytes, Values] = {}  # what golden streams refer to comes before them
    for name in json.loads((GOLDEN / "streams.json").read_text(encoding="utf-8")):
        golden = decode_stream((GOLDEN / f"{name}.helio").read_bytes(), codec, references=there)
        there[golden.picture_id] = golden.values
    known = [path.read_bytes() for path in sorted(GOLDEN.glob("*.helio"))] + list(
        small_streams().values()
    ) * 2

    def once(rng: random.Random) -> None:
        data = rng.choice((change_fields, change_whole))(rng.choice(known), rng)
        width, height = container.claimed_size(data)
        is_partial = rng.random() < 0.6
        try:
            stream = container.open(data)
        except StreamError:
            return
        header = stream.header
        assert (header.width, header.height) == (width, height)
        assert (
            container.pack(header, [bytes(n) for _, n in stream.segments])[: stream.size]
            == data[: stream.size]
        )
        assert describe(stream).slices == len(header.slices)
        if width * height > MOST_PIXELS:
            return
        try:
            thinned = thin(data, rng.randint(1, 4))
        except StreamError:
            pass
        else:
            assert len(thinned) <= len(data)
            container.open(thinned).check_whole()
        results = []
        rows, columns = header.latent_shape
        is_small = rows * columns <= MOST_POSITIONS
        for each in (codec, in_numpy) if is_small else (codec,):
            try:
                decoded = decode_stream(data, each, partial=is_partial, references=there)
            except HeliographError as error:  # whose texts differ
                results.append(type(error).__name__)
            else:
                assert decoded.values.shape[:2] == (rows, columns)
                results.append(decoded.values.tobytes().hex() + str(decoded.loss))
        assert len(set(results)) == 1, f"C and numpy differ: {[r[:150] + r[-40:] for r in results]}"

    return once


def models(folder: Path) -> Callable[[random.Random], None]:
    """Fuzz entropy files: C and numpy take or refuse the same ones, and decode the same with those they take."""
    core = load_core()
    assert core is not None
    known = [make_model(seed, sets, shape).to_bytes() for seed, shape in enumerate(SHAPES) for sets in (1, 2)]

    def once(rng: random.Random) -> None:
        entropy = change_bytes(rng.choice(known), rng)
        try:
            model = EntropyModel.from_bytes(entropy)
        except ValueError:
            model = None
        try:
            core.open(entropy)
        except ValueError:
            assert model is None, "numpy takes what C refuses"
            return
        assert model is not None, "C takes what numpy refuses"
        assert model.to_bytes() == entropy
        coders: list[Coder] = [NativeCoder(entropy, core), NumpyCoder(entropy)]
        rows, columns, level = rng.randint(1, 5), rng.randint(1, 5), rng.randrange(1024)
        segments = [rng.randbytes(rng.randint(0, 40)) for _ in model.layers]
        for n, segment in enumerate(segments):
            if rng.random() < 0.8:  # one lane, with a state that may be
                segments[n] = bytes([0]) + segment[:2] + bytes([rng.randrange(1, 256)]) + segment[2:]
        results = []
        is_cut = rng.random() < 0.7
        is_short = len(segments) == 1 and not is_cut
        there = None
        if len(model.sets) == 2 and rng.random() < 0.7:
            drawn = [rng.randint(LOWEST, HIGHEST) for _ in range(rows * columns * model.channels)]
            there = Reference(np.array(drawn, np.int16).reshape(rows, columns, -1), rng.randrange(1024))
        for coder in coders:
            try:
                got = coder.decode(
                    segments,
                    rows,
                    columns,
                    level,
                    merged=len(segments) == 1,
                    short=is_short,
                    cut=is_cut,
                    reference=there,
                )
            except StreamError:  # whose texts differ
                results.append("StreamError")
            else:
                results.append(got.values.tobytes().hex() + str(got.read))
        assert results[0] == results[1], f"C and numpy differ: {[r[:150] + r[-40:] for r in results]}"

    return once
