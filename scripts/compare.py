"""Compare what scripts/demo encoded and decoded with the originals and with JPEG files of the same size.

    python scripts/compare.py FOLDER

prints a table and writes FOLDER/side-by-side.png.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from heliograph.measure.baselines import jpeg_at_bytes
from heliograph.measure.metrics import ms_ssim, psnr
from heliograph.pictures import load_srgb

Picture = npt.NDArray[np.uint8]
SHOWN = "quality-10/coffee"  # the picture and quality of side-by-side.png


def read(path: Path) -> list[dict[str, Any]]:
    """Return the results that `heliograph --json` printed into a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def side_by_side(path: Path, panels: list[tuple[str, Picture]]) -> None:
    """Write labelled pictures of one size next to each other."""
    height, width = panels[0][1].shape[:2]
    sheet = Image.new("RGB", (len(panels) * width, height + 24), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (label, picture) in enumerate(panels):
        sheet.paste(Image.fromarray(picture), (number * width, 24))
        draw.text((number * width + 6, 5), label, fill="black")
    sheet.save(path)


COLUMNS = ("bytes", 7), ("bpp", 6), ("dB", 6), ("MS-SSIM", 7), ("JPEG dB", 7), ("encode", 9), ("decode", 9)
HEADER = f"{'stream':30} " + " ".join(f"{name:>{width}}" for name, width in COLUMNS)


def row(
    name: str, made: dict[str, Any], back: dict[str, Any], values: tuple[float, float, float | None]
) -> str:
    """Return a line of the table; values are PSNR, MS-SSIM and JPEG's PSNR."""
    psnr_db, similarity, jpeg_db = values
    jpeg = f"{jpeg_db:7.2f}" if jpeg_db is not None else "      -"
    rate = f"{made['stream_bytes']:7} {made['bits_per_pixel']:6.3f}"
    times = f"{1000 * made['seconds']:6.0f} ms {1000 * back['seconds']:6.0f} ms"
    return f"{name:30} {rate} {psnr_db:6.2f} {similarity:7.4f} {jpeg} {times}"


def main(folder: Path) -> None:
    """Print the table and write the picture."""
    decoded = {result["input"]: result for result in read(folder / "decoded.jsonl")}
    print(HEADER)
    for made in read(folder / "encoded.jsonl"):
        back = decoded[made["output"]]
        name = Path(made["output"]).relative_to(folder).with_suffix("").as_posix()
        original, picture = load_srgb(Path(made["input"])), load_srgb(Path(back["output"]))
        jpeg = jpeg_at_bytes(original, made["stream_bytes"])  # None: JPEG cannot be that small
        ours, theirs = psnr(original, picture), psnr(original, jpeg[1]) if jpeg else None
        print(row(name, made, back, (ours, ms_ssim(original, picture), theirs)))
        if name == SHOWN:
            panels = [
                ("original", original),
                (f"heliograph, {made['stream_bytes']} bytes, {ours:.2f} dB", picture),
            ]
            if jpeg:
                panels.append((f"JPEG, {len(jpeg[0])} bytes, {theirs:.2f} dB", jpeg[1]))
            side_by_side(folder / "side-by-side.png", panels)
    print("JPEG dB: PSNR of the best JPEG file (optimised, 4:2:0) of at most as many bytes.")
    print(f"Side by side: {folder / 'side-by-side.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
