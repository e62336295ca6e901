"""Makes the inputs that the C fuzzer begins with, from the golden files and from small entropy models of all shapes.

python -m tests.fuzz.corpus FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.codec.conftest import Shape, make_latents, make_model
from tests.export.random_networks import random_network

from heliograph.codec import container, tiles
from heliograph.codec.codec import Codec
from heliograph.codec.coder import Reference
from heliograph.export.graph import read_graph
from heliograph.export.network import network_file

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STREAM, SLICE, MODEL, ROUND_TRIP, NETWORK = (bytes([n]) for n in range(5))
MERGED, CUT, NO_ROOM, NO_CAPACITY, ILLEGAL = 1, 2, 32, 64, 128
LARGEST = 20000  # bytes of an input
SHORT = container.MAX_SHORT // 2
WHOLE = 1 << 30  # bytes below which layers are merged: always
SHAPES = (
    Shape((1,), 1, ((1, 1), (1, 1)), 2, 2, 0),
    Shape((1, 2), 1, ((2, 1), (1, 2)), 3, 2, 1),
    Shape((3,), 2, ((1, 2), (3, 1)), 5, 3, 3),
    Shape((1, 2, 3, 4, 5, 6, 7, 8), 32, ((2, 2), (2, 3)), 4, 5, 1),
    Shape((4, 6), 3, ((16, 3), (2, 3)), 128, 128, 2),
    Shape((2, 5, 9), 2, ((3, 32), (16, 4)), 12, 9, 2),
    Shape((16,), 16, ((4, 4), (3, 32)), 8, 8, 16),
)


def head(
    rows: int, columns: int, level: int, flags: int = 0, rounding: int = 110, strength: int = 0
) -> bytes:
    """Return what says of a slice how it is coded; see read_slice in fuzz_core.c."""
    return bytes(
        [min(rows, 16) - 1, min(columns, 16) - 1, level & 255, level >> 8, flags, rounding, strength, 128]
    )


def small_streams() -> dict[str, bytes]:
    """Return streams of few positions, some in slices, and with their layers apart or in one segment."""
    codec, out = Codec(GOLDEN / "codec"), {}
    for number, (width, height, level, side) in enumerate(
        [(80, 70, 600, 0), (90, 90, 200, 4), (40, 130, 900, 2), (16, 33, 20, 1), (96, 96, 800, 3)]
    ):
        rows, columns = tiles.latent_shape(width, height)
        latents = make_latents(number, rows, columns, 40.0)
        for merged in (False, True):
            parts = 1 if merged else len(codec.coder.model.layers)
            header = container.Header(codec.id, width, height, level, parts, side)
            slices = [
                codec.coder.encode(
                    latents[place], level, rounding=110, strength=0, merge_below=merged * WHOLE
                )
                for place in header.slices
            ]
            segments = [coded.segments[part] for part in range(parts) for coded in slices]
            out[f"small-{number}-{parts}"] = container.pack(header, segments)
        refined = container.Header(codec.id, width, height, level, parts=2, side=side, base_level=level // 3)
        bases = [
            codec.coder.encode(latents[place], level // 3, rounding=128, strength=0, merge_below=WHOLE)
            for place in refined.slices
        ]
        fine = [
            codec.coder.encode(
                latents[place],
                level,
                rounding=128,
                strength=0,
                merge_below=WHOLE,
                reference=Reference(base.values, level // 3),
            )
            for place, base in zip(refined.slices, bases, strict=True)
        ]
        out[f"refined-{number}"] = container.pack(refined, [one.segments[0] for one in (*bases, *fine)])
        latents = make_latents(number, rows, columns, 5.0)
        coded = codec.coder.encode(latents, level, rounding=128, strength=20, short_below=SHORT)
        header = container.Header(codec.id, 2 * width, 2 * height, level, 1, scale=2, is_short=True)
        out[f"short-{number}"] = container.pack(header, coded.segments)
    return out


def main(folder: Path) -> None:
    """Write an input for each golden stream, its first segment, each entropy model and mistakes of callers."""
    folder.mkdir(parents=True, exist_ok=True)
    streams = {path.stem: path.read_bytes() for path in sorted(GOLDEN.rglob("*.helio"))} | small_streams()
    for name, data in streams.items():
        (folder / f"stream-{name}").write_bytes((STREAM + data)[:LARGEST])
    for path in GOLDEN.glob("*.helio"):
        data = path.read_bytes()
        stream = container.open(data)
        at, length = stream.segments[0]
        rows, columns = stream.header.latent_shape
        merged = int(stream.header.parts == 1)
        for cut in (0, CUT):
            start = head(rows, columns, stream.header.level, merged | cut)
            (folder / f"slice-{path.stem}-{cut}").write_bytes(
                (SLICE + start + data[at : at + length])[:LARGEST]
            )
        start = head(rows, columns, stream.header.level, merged, strength=rows)
        (folder / f"trip-{path.stem}").write_bytes(ROUND_TRIP + start + data[-64:])
    for flags in (0, NO_ROOM, NO_CAPACITY, ILLEGAL):
        start = head(5, 7, 500, flags)
        (folder / f"mistake-slice-{flags}").write_bytes(SLICE + start + bytes(20))
        (folder / f"mistake-trip-{flags}").write_bytes(ROUND_TRIP + start + bytes(range(40)))
    (folder / "slice-cut-in-its-states").write_bytes(SLICE + head(5, 7, 500, MERGED) + bytes([6, 0]))
    models = {"golden": (GOLDEN / "codec/entropy.bin").read_bytes()}
    for seed, shape in enumerate(SHAPES):
        models[f"{seed}"] = make_model(seed, 1 + seed % 2, shape).to_bytes()
    for name, entropy in models.items():
        end = head(6, 5, 300, MERGED, strength=9) + bytes(range(0, 256, 5))
        (folder / f"model-{name}").write_bytes((MODEL + bytes([len(end)]) + entropy)[:LARGEST] + end)
    for seed in range(12):
        side, channels = 1 + seed % 3, 24 if seed % 2 else None
        encoder, channels = random_network(seed, side, channels)
        network = network_file(read_graph(encoder), 16 * side, channels)
        start = bytes([20 * side, 33, seed % 6, 17 * seed])
        if len(network) < LARGEST // 2:
            (folder / f"network-{seed}").write_bytes(NETWORK + start + network)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
