"""What slices cost: a picture's bytes when it is coded in squares that know nothing of each other, beside the whole.

    python -m heliograph.export.slices CODEC PICTURE ...

prints a table by quality. A camera in plain C codes in slices, as a strip of rows is all that its memory holds.
"""

from __future__ import annotations

import sys
from pathlib import Path

from heliograph.codec import levels, registry
from heliograph.codec.codec import Codec
from heliograph.codec.values import Values
from heliograph.device.encoder import Encoder
from heliograph.export.bundle import text_table
from heliograph.export.camera_boards import expected_stream
from heliograph.pictures import load_srgb

QUALITIES = (10, 25, 50, 75)
SIDES = (4, 6, 8, 12)
WHOLE = 1 << 12  # positions on a side: more than a picture has


def sizes(codec: Codec, latents: Values, level: int) -> dict[tuple[int, bool], int]:
    """Return the bytes of latents [rows, columns, C] by the side of a slice and whether layers are apart."""
    height, width = 16 * latents.shape[0], 16 * latents.shape[1]
    return {
        (side, layered): len(
            expected_stream(codec, latents, width, height, level, side=side, layered=layered)
        )
        for side in (WHOLE, *SIDES)
        for layered in (False, True)
    }


def main() -> int:
    """Measure and print; return the exit code."""
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    codec = registry.open_codec(sys.argv[1])
    encoder = Encoder(codec)
    maps = [encoder.latents(load_srgb(Path(name))) for name in sys.argv[2:]]
    head = [f"{side}x{side}{' layered' if layered else ''}" for side in SIDES for layered in (False, True)]
    rows = [("quality", "bytes of the whole", *head)]
    for quality in QUALITIES:
        found = [sizes(codec, latents, levels.from_quality(quality)) for latents in maps]
        total = {key: sum(one[key] for one in found) for key in found[0]}
        whole = total[WHOLE, False]
        grown = [f"{total[side, layered] / whole - 1:+.1%}" for side in SIDES for layered in (False, True)]
        rows.append((f"{quality}", f"{whole / len(maps):.0f}", *grown))
    print(f"{codec.name}, {len(maps)} pictures: growth of bytes by the side of a slice in positions")
    print(text_table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
