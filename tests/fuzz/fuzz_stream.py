"""Fuzz whole-stream decoding: golden streams with changed headers and payloads whose CRCs are made to fit.

    python tests/fuzz/fuzz_stream.py [SECONDS] [SEED]

Whatever the bytes, the result must be one of our errors or a picture of the announced size, within a second.
"""

from __future__ import annotations

import random
import struct
import sys
import time
from pathlib import Path

from crc32c import crc32c

from heliograph.codec import container
from heliograph.codec.codec import Codec
from heliograph.codec.stream import decode_stream
from heliograph.codec.tiles import latent_shape
from heliograph.errors import HeliographError

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
MOST_PIXELS = 4_000_000  # larger announcements take their time by right


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return a stream with up to three changes, perhaps cut, and mostly with good CRCs."""
    stream = container.open(data)
    head, body = bytearray(data[: stream.size - 4]), bytearray(data[stream.size :])
    for _ in range(rng.randint(0, 3)):
        if rng.random() < 0.4:
            head[rng.randrange(12, len(head))] = rng.randrange(256)
        elif body:
            body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    if rng.random() < 0.2:
        del body[rng.randrange(len(body) + 1) :]
    changed = bytearray(bytes(head) + struct.pack("<I", crc32c(bytes(head))) + bytes(body))
    try:
        stream = container.open(bytes(changed))
    except HeliographError:
        return bytes(changed)
    for number, (at, length) in enumerate(stream.segments):
        if length and at + length + 4 <= len(changed) and rng.random() < 0.9:
            crc = container.segment_crc(stream.crc, number, bytes(changed[at : at + length]))
            changed[at + length : at + length + 4] = struct.pack("<I", crc)
    return bytes(changed)


def main(seconds: float = 60.0, seed: int = 1) -> None:
    """Run and print what came out; an exception or a slow decode ends it."""
    codec, rng = Codec(GOLDEN / "codec"), random.Random(seed)
    streams = [path.read_bytes() for path in sorted(GOLDEN.glob("*.helio"))]
    pictures = errors = 0
    slowest = 0.0
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        data = mutate(rng.choice(streams), rng)
        start = time.process_time()
        try:
            header = container.open(data).header
            if header.width * header.height > MOST_PIXELS:
                continue
            decoded = decode_stream(data, codec, partial=rng.random() < 0.6)
        except HeliographError:
            errors += 1
        else:
            assert decoded.symbols.shape[:2] == latent_shape(header.width, header.height), data.hex()
            assert decoded.values.shape == decoded.symbols.shape
            pictures += 1
        slowest = max(slowest, time.process_time() - start)
        assert slowest < 1, data.hex()
    print(f"seed {seed}: {pictures} pictures, {errors} errors, the slowest took {slowest:.3f} s")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
